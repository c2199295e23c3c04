package container

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// mount is one file system of the container.
type mount struct {
	source, target, fstype string
	flags                  uintptr
	data                   string
}

// mounts are those that the OCI runtime specification asks for, as Docker mounts
// them. /tmp is left to the image: what is written there is kept.
var mounts = []mount{
	{"tmpfs", "/dev", "tmpfs", unix.MS_NOSUID | unix.MS_STRICTATIME, "mode=755,size=64m"},
	{"devpts", "/dev/pts", "devpts", unix.MS_NOSUID | unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"},
	{"mqueue", "/dev/mqueue", "mqueue", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	{"shm", "/dev/shm", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, "mode=1777"},
	{"sysfs", "/sys", "sysfs", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_RDONLY, ""},
}

// initMounts show the PID and cgroup namespaces of the process that mounts them,
// which is init.
var initMounts = []mount{
	{"proc", "/proc", "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	{"cgroup", "/sys/fs/cgroup", "cgroup2", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_RDONLY, ""},
}

// masked are files and folders that tell or change too much: hidden.
var masked = []string{
	"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
	"/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats",
	"/sys/devices/virtual/powercap", "/sys/firmware",
}

// readOnly are folders of /proc that root could change the machine with.
var readOnly = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}

// mountAll makes a folder the root of the calling thread's mount namespace and
// mounts all that is not left to init.
func mountAll(root string) error {
	if err := changeRoot(root); err != nil {
		return internal("change the root", err)
	}
	for _, m := range mounts {
		if err := m.mount(); err != nil {
			return err
		}
		if m.target == "/dev" {
			if err := fillDev(); err != nil {
				return internal("fill /dev", err)
			}
		}
	}
	for _, m := range initMounts {
		if err := makeMountPoint(m.target); err != nil {
			return err
		}
	}
	return nil
}

// finishMounts does what can be done only when all is mounted: the container's
// own files over the image's, what tells or changes too much hidden, and the
// working directory made.
func finishMounts(config Config) error {
	files := []ownFile{
		{target: "/etc/hosts", content: config.Hosts},
		{target: "/etc/resolv.conf", content: config.ResolvConf},
		{target: "/etc/hostname", content: []byte(config.Hostname + "\n")},
	}
	if err := mountFiles(append(files, trustFiles(config.CACertificates)...)); err != nil {
		return err
	}
	updateTrust(config.CACertificates)
	for _, path := range masked {
		if err := mask(path); err != nil {
			return internal("mask "+path, err)
		}
	}
	for _, path := range readOnly {
		if err := remountReadOnly(path); err != nil {
			return internal("make "+path+" read-only", err)
		}
	}
	if config.Dir == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Join("/", config.Dir), 0o755); err != nil {
		return &protocol.Error{
			Kind: protocol.KindInvalidArgument, Op: "make the working directory", Err: err,
			Hint: "choose a working directory that can exist in the image",
		}
	}
	return nil
}

// changeRoot makes a folder the root. Nothing of the old root stays reachable.
func changeRoot(root string) error {
	// Nothing that is mounted here may appear in the agent's namespace.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount(root, root, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind %s: %w", root, err)
	}
	if err := unix.Chdir(root); err != nil {
		return fmt.Errorf("enter %s: %w", root, err)
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	// The old root is now on top of the new one.
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("detach the old root: %w", err)
	}
	return unix.Chdir("/")
}

// mount mounts a file system on a folder, which is made if it is missing.
func (m mount) mount() error {
	if err := makeMountPoint(m.target); err != nil {
		return err
	}
	if err := unix.Mount(m.source, m.target, m.fstype, m.flags, m.data); err != nil {
		return internal("mount "+m.target, err)
	}
	return nil
}

// makeMountPoint makes a folder, unless it is there. An image must not have a
// symbolic link in its place: /proc would be mounted elsewhere then, and
// programs would believe the image's /proc.
func makeMountPoint(path string) error {
	if err := os.Mkdir(path, 0o755); err == nil {
		return nil
	}
	fd, err := openat2(unix.AT_FDCWD, path, unix.O_DIRECTORY|unix.O_PATH, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return &protocol.Error{
			Kind: protocol.KindImage, Op: "mount " + path, Err: err,
			Hint: "the image must have an ordinary folder there, or nothing",
		}
	}
	return unix.Close(fd)
}

// fillDev makes the usual devices and links in a fresh /dev.
func fillDev() error {
	defer unix.Umask(unix.Umask(0))
	for _, d := range devices {
		if err := unix.Mknod("/dev/"+d.name, unix.S_IFCHR|0o666, int(unix.Mkdev(uint32(d.major), uint32(d.minor)))); err != nil {
			return fmt.Errorf("make %s: %w", d.name, err)
		}
	}
	links := map[string]string{
		"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
		"core": "/proc/kcore", "ptmx": "pts/ptmx",
	}
	for name, to := range links {
		if err := os.Symlink(to, "/dev/"+name); err != nil {
			return err
		}
	}
	return nil
}

// mask hides a file or folder, if it is there.
func mask(path string) error {
	err := unix.Mount("/dev/null", path, "", unix.MS_BIND, "")
	if errors.Is(err, unix.ENOTDIR) {
		err = unix.Mount("tmpfs", path, "tmpfs", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "size=0")
	}
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// remountReadOnly makes a file or folder read-only, if it is there.
func remountReadOnly(path string) error {
	err := unix.Mount(path, path, "", unix.MS_BIND|unix.MS_REC, "")
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	return unix.Mount("", path, "",
		unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
}
