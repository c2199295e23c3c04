package guest

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
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
	if err := restKernel(); err != nil {
		return err
	}
	// Neither a core file nor another process may show the agent's memory.
	return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
}

// restKernel has Linux do nothing while nothing is to be done. By itself, it looks twice a
// second whether memory is in too many pieces (vm.compaction_proactiveness), which would be
// nearly all that wakes the processor of an idle box. Who needs large pieces still has them made.
func restKernel() error {
	if err := os.WriteFile("/proc/sys/vm/compaction_proactiveness", []byte("0"), 0); err != nil {
		return fmt.Errorf("rest the kernel: %w", err)
	}
	return nil
}
