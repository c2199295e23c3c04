package jail

import (
	"fmt"
	"hash/fnv"
	"path/filepath"
)

// cgroupPrefix begins the names of all cgroups that are made here.
const cgroupPrefix = "boxlite-"

// CgroupName returns the name of the cgroup of the box in dir, a folder named after the
// box's ID. The ID alone would not do: a copy of a home has boxes with the same ones.
func CgroupName(dir string) string {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(dir)) // never fails
	return fmt.Sprintf("%s%s-%08x", cgroupPrefix, filepath.Base(dir), sum.Sum32())
}
