package jail

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// Seal confines the calling process, a shim, for the rest of its life: it keeps the
// descriptors that it has, reads and writes in dir, ends what it has started, and can
// do little else than what reach says. All threads are meant, also those that the Go
// runtime makes later.
func (p Plan) Seal(dir string, reach Reach) error {
	if p.Has(Rlimits) {
		if err := limitShim(reach); err != nil {
			return sealError(Rlimits, err)
		}
	}
	if p.Has(Privileges) {
		if err := errors.Join(keepCapabilities(allThreads, p.shimCapabilities(reach)), forbidGains(allThreads)); err != nil {
			return sealError(Privileges, err)
		}
	}
	if p.Has(Landlock) {
		// The VMM is not in the shim's jail, and must be ended; whom it can signal is
		// up to seccomp: processes that it has a descriptor of.
		grants := slices.Concat(
			[]grant{
				{path: dir, access: accessFolder},
				// To find all threads, in programs that are linked to C.
				{path: "/proc/self/task", access: unix.LANDLOCK_ACCESS_FS_READ_DIR},
			},
			grantAll(unix.LANDLOCK_ACCESS_FS_REMOVE_DIR, parentsOf(p.Cgroups)),
			// To kill what is left in the cgroup.
			grantAll(unix.LANDLOCK_ACCESS_FS_READ_FILE|unix.LANDLOCK_ACCESS_FS_WRITE_FILE, p.Cgroups),
			grantAll(accessRead, reach.Read),
		)
		if err := restrict(allThreads, grants, limits{signals: true, tcp: reach.Network}); err != nil {
			return sealError(Landlock, err)
		}
	}
	if p.Has(Seccomp) {
		if err := filterCalls(reach.role(), os.Getpid()); err != nil {
			return sealError(Seccomp, err)
		}
	}
	return nil
}

// shimCapabilities returns what a shim that runs as root can't do without.
func (p Plan) shimCapabilities(reach Reach) uint32 {
	if os.Geteuid() != 0 {
		return 0
	}
	keep := uint32(1 << unix.CAP_KILL) // the VMM is another user's
	if reach.Network {
		keep |= 1 << unix.CAP_NET_BIND_SERVICE // to publish ports below 1024
	}
	for _, dir := range parentsOf(p.Cgroups) {
		var stat unix.Stat_t
		if err := unix.Stat(dir, &stat); err == nil && stat.Mode&0o200 == 0 {
			keep |= 1 << unix.CAP_DAC_OVERRIDE // to remove the cgroup from the topmost one
		}
	}
	return keep
}

func parentsOf(dirs []string) []string {
	parents := make([]string, 0, len(dirs))
	for _, d := range dirs {
		parents = append(parents, filepath.Dir(d))
	}
	return parents
}

func sealError(l Layer, err error) error {
	return layerError(l, fmt.Errorf("around the shim: %w", err))
}

func (r Reach) role() Role {
	if r.Network {
		return RoleShimNetwork
	}
	return RoleShim
}
