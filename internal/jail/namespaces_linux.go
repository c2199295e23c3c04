package jail

import (
	"fmt"
	"hash/fnv"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// namespaceFlags are all but the cgroup namespace, which is made after the cgroup was
// joined: its root is where a process is then.
const namespaceFlags = unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET |
	unix.CLONE_NEWIPC | unix.CLONE_NEWUTS

// user is who a process becomes.
type user struct {
	// Change is false if it stays who it is.
	Change bool  `json:"change"`
	ID     int   `json:"id"`
	Groups []int `json:"groups,omitempty"`
}

// Root gives each box a user ID of its own, so that one box's VMM could do nothing to
// another's even if all else failed. The range is one that distributions leave unused
// (systemd's documentation calls 1879048192 to 2147483647 that).
const (
	firstUser = 1879048192
	users     = 1 << 27
)

// userOf returns whom a box's VMM becomes. Devices that only root or a group may use
// stay usable.
func userOf(box string, devices []string) user {
	if os.Geteuid() != 0 {
		return user{}
	}
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(box)) // never fails
	u := user{Change: true, ID: firstUser + int(sum.Sum32()%users)}
	for _, device := range devices {
		var stat unix.Stat_t
		if unix.Stat(device, &stat) != nil || stat.Mode&0o006 == 0o006 {
			continue
		}
		if stat.Mode&0o060 != 0o060 || stat.Gid == 0 {
			return user{} // only root may use it
		}
		u.Groups = append(u.Groups, int(stat.Gid))
	}
	return u
}

// othersMayExecute reports whether a user of a box's own may execute a file.
func othersMayExecute(path string) bool {
	var stat unix.Stat_t
	return unix.Stat(path, &stat) == nil && stat.Mode&0o001 != 0
}

// enterNamespaces has a process start in new namespaces.
func enterNamespaces(attr *syscall.SysProcAttr, u user) {
	attr.Cloneflags = namespaceFlags
	attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
	attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	if !u.Change {
		return
	}
	attr.UidMappings = append(attr.UidMappings, syscall.SysProcIDMap{ContainerID: u.ID, HostID: u.ID, Size: 1})
	attr.GidMappings = append(attr.GidMappings, syscall.SysProcIDMap{ContainerID: u.ID, HostID: u.ID, Size: 1})
	attr.GidMappingsEnableSetgroups = true
	groups := slices.Clone(u.Groups)
	slices.Sort(groups)
	for _, g := range slices.Compact(groups) {
		attr.GidMappings = append(attr.GidMappings, syscall.SysProcIDMap{ContainerID: g, HostID: g, Size: 1})
	}
}

// leaveCgroups hides where the process's cgroup is.
func leaveCgroups() error {
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("make a cgroup namespace: %w", err)
	}
	return nil
}
