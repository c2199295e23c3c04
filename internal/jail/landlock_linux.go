package jail

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What may be done to files that are granted.
const (
	accessRead    = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	accessExecute = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_EXECUTE
	accessDevice  = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	accessFolder  = accessRead | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE |
		unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE
	// accessFile are those rights that a rule for a file may name.
	accessFile = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE |
		unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
)

// grant is a file, or a folder and all below it, and what may be done to it.
type grant struct {
	path   string
	access uint64
	// fd is the file's descriptor if there is no path.
	fd int
}

func grantAll(access uint64, paths []string) []grant {
	grants := make([]grant, 0, len(paths))
	for _, p := range paths {
		grants = append(grants, grant{path: p, access: access})
	}
	return grants
}

// landlockVersion returns the version of the kernel's interface.
func landlockVersion() (int, error) {
	version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	switch errno {
	case 0:
		return int(version), nil
	case unix.EOPNOTSUPP:
		return 0, errors.New("it was disabled when the kernel was booted")
	case unix.ENOSYS:
		return 0, errors.New("the kernel does not have it")
	}
	return 0, errno
}

// everything returns all that a version can forbid. What it leaves to older kernels is
// told in landlock(7).
func everything(version int) unix.LandlockRulesetAttr {
	all := unix.LandlockRulesetAttr{Handled_access_fs: 1<<13 - 1}
	for _, later := range []struct {
		version         int
		fs, net, scopes uint64
	}{
		{2, unix.LANDLOCK_ACCESS_FS_REFER, 0, 0},
		{3, unix.LANDLOCK_ACCESS_FS_TRUNCATE, 0, 0},
		{4, 0, unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP, 0},
		{5, unix.LANDLOCK_ACCESS_FS_IOCTL_DEV, 0, 0},
		{6, 0, 0, unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL},
	} {
		if version >= later.version {
			all.Handled_access_fs |= later.fs
			all.Handled_access_net |= later.net
			all.Scoped |= later.scopes
		}
	}
	return all
}

// limits are what of everything else than files may be done.
type limits struct {
	signals bool // send signals to processes outside the jail
	tcp     bool // connect to TCP ports, and listen on them
}

// restrict puts threads under Landlock: from now on they open nothing but what is
// granted, reach no network and no abstract socket, and signal none but processes of
// the same jail, but for what may be done. A file that isn't there needs no grant.
// no_new_privs must be set.
func restrict(call caller, grants []grant, may limits) error {
	version, err := landlockVersion()
	if err != nil {
		return err
	}
	all := everything(version)
	if may.signals {
		all.Scoped &^= unix.LANDLOCK_SCOPE_SIGNAL
	}
	if may.tcp {
		all.Handled_access_net = 0
	}
	ruleset, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&all)), unsafe.Sizeof(all), 0)
	if errno != 0 {
		return fmt.Errorf("make a set of rules: %w", errno)
	}
	defer unix.Close(int(ruleset))
	for _, g := range grants {
		if err := addRule(int(ruleset), g, all.Handled_access_fs); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("grant %s: %w", g.path, err)
		}
	}
	if errno := call(unix.SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0, 0); errno != 0 {
		return fmt.Errorf("apply the rules: %w", errno)
	}
	return nil
}

func addRule(ruleset int, g grant, handled uint64) error {
	fd := g.fd
	if g.path != "" {
		var err error
		if fd, err = unix.Open(g.path, unix.O_PATH|unix.O_CLOEXEC, 0); err != nil {
			return os.NewSyscallError("open", err)
		}
		defer unix.Close(fd)
	}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return err
	}
	rule := unix.LandlockPathBeneathAttr{Allowed_access: g.access & handled, Parent_fd: int32(fd)}
	if stat.Mode&unix.S_IFMT != unix.S_IFDIR {
		rule.Allowed_access &= accessFile
	}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), unix.LANDLOCK_RULE_PATH_BENEATH,
		uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	if errno != 0 {
		return os.NewSyscallError("landlock_add_rule", errno)
	}
	return nil
}
