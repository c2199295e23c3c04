package guest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

const (
	dirImage     = "/run/image"
	dirBox       = "/run/box"
	dirUpper     = dirBox + "/upper"
	dirContainer = "/run/container"
	dirCgroup    = "/sys/fs/cgroup"

	containerCgroup = dirCgroup + "/container"
)

// boot turns the initramfs into the agent's system: a root of its own, in which
// only mount points exist, and the kernel's file systems.
func boot() error {
	const root = "/root"
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	// Processes in a container can pivot away from a mounted root only, never
	// from the initramfs itself.
	if err := unix.Mount("root", root, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=755,size=1m"); err != nil {
		return fmt.Errorf("mount the agent's root: %w", err)
	}
	for _, dir := range []string{"dev", "proc", "sys", "run"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			return err
		}
	}
	for _, m := range []struct {
		kind, at string
		flags    uintptr
		data     string
	}{
		{"devtmpfs", "dev", unix.MS_NOSUID, "mode=755"},
		{"proc", "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
		{"sysfs", "sys", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
		{"cgroup2", "sys/fs/cgroup", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, "nsdelegate"},
		{"tmpfs", "run", unix.MS_NOSUID | unix.MS_NODEV, "mode=755,size=16m"},
	} {
		if err := unix.Mount(m.kind, filepath.Join(root, m.at), m.kind, m.flags, m.data); err != nil {
			return fmt.Errorf("mount %s: %w", m.kind, err)
		}
	}
	if err := unix.Mount("", root, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("make the agent's root read-only: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("make the initramfs read-only: %w", err)
	}
	if err := unix.Chdir(root); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move to the agent's root: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return err
	}
	if err := unix.Chdir("/"); err != nil {
		return err
	}
	for _, dir := range []string{dirImage, dirBox, dirContainer} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	// Neither a core file nor another process may show the agent's memory.
	return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
}

// openPort opens the virtio-serial port that carries the portal.
func openPort() (*os.File, error) {
	const class = "/sys/class/virtio-ports"
	ports, err := os.ReadDir(class)
	if err != nil {
		return nil, err
	}
	for _, port := range ports {
		name, err := os.ReadFile(filepath.Join(class, port.Name(), "name"))
		if err == nil && strings.TrimSpace(string(name)) == protocol.PortName {
			fd, err := unix.Open(filepath.Join("/dev", port.Name()), unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
			if err != nil {
				return nil, &os.PathError{Op: "open", Path: "/dev/" + port.Name(), Err: err}
			}
			return os.NewFile(uintptr(fd), protocol.PortName), nil
		}
	}
	return nil, fmt.Errorf("no virtio-serial port is named %q", protocol.PortName)
}
