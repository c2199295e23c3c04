package guest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ext4ResizeFS is EXT4_IOC_RESIZE_FS, _IOW('f', 16, __u64).
const ext4ResizeFS = 0x40086610

// findDisk returns the device of the virtio disk with a serial number.
func findDisk(serial string) (string, error) {
	const blocks = "/sys/block"
	disks, err := os.ReadDir(blocks)
	if err != nil {
		return "", err
	}
	for _, disk := range disks {
		s, err := os.ReadFile(filepath.Join(blocks, disk.Name(), "serial"))
		if err == nil && strings.TrimSpace(string(s)) == serial {
			return filepath.Join("/dev", disk.Name()), nil
		}
	}
	return "", fmt.Errorf("no disk has the serial number %q", serial)
}

// mountRoot mounts the image below and the box's disk above, merged at
// dirContainer.
func mountRoot(imageDisk, boxDisk string) error {
	image, err := findDisk(imageDisk)
	if err != nil {
		return err
	}
	box, err := findDisk(boxDisk)
	if err != nil {
		return err
	}
	// noload: the image was never mounted for writing, so it has no journal to replay.
	if err := unix.Mount(image, dirImage, "ext4", unix.MS_RDONLY|unix.MS_NODEV, "noload"); err != nil {
		return fmt.Errorf("mount the image's disk: %w", err)
	}
	// The host's file is sparse and reads as zeros: nothing is won by having the
	// kernel write zeros over it.
	if err := unix.Mount(box, dirBox, "ext4", unix.MS_NODEV|unix.MS_NOATIME, "discard,noinit_itable"); err != nil {
		return fmt.Errorf("mount the box's disk: %w", err)
	}
	if err := growDisk(box, dirBox); err != nil {
		return fmt.Errorf("grow the box's disk to its size: %w", err)
	}
	upper, work := dirUpper, filepath.Join(dirBox, "work")
	if err := prepareUpper(upper, work); err != nil {
		return fmt.Errorf("prepare the box's disk: %w", err)
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s,redirect_dir=on", dirImage, upper, work)
	if err := unix.Mount("root", dirContainer, "overlay", 0, options); err != nil {
		return fmt.Errorf("mount the container's root filesystem: %w", err)
	}
	return nil
}

// prepareUpper gives the directory that shows as the container's root the mode
// and owner of the image's, before the box's disk is used for the first time:
// overlayfs has not yet made a directory of its own in work.
func prepareUpper(upper, work string) error {
	_, err := os.Lstat(filepath.Join(work, "work"))
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	var now, want unix.Stat_t
	if err := errors.Join(unix.Stat(upper, &now), unix.Stat(dirImage, &want)); err != nil {
		return err
	}
	if now.Uid != want.Uid || now.Gid != want.Gid {
		if err := unix.Chown(upper, int(want.Uid), int(want.Gid)); err != nil {
			return err
		}
	}
	if now.Mode == want.Mode {
		return nil
	}
	return unix.Chmod(upper, want.Mode&0o7777)
}

// growDisk makes an ext4 file system as large as its device, if it is smaller.
func growDisk(device, mountpoint string) error {
	sectors, err := os.ReadFile(filepath.Join("/sys/block", filepath.Base(device), "size"))
	if err != nil {
		return err
	}
	size, err := strconv.ParseUint(strings.TrimSpace(string(sectors)), 10, 64)
	if err != nil {
		return err
	}
	blocks, err := ext4Blocks(device)
	if err != nil {
		return err
	}
	want := size * 512 / ext4BlockSize
	if want <= blocks {
		return nil
	}
	dir, err := os.Open(mountpoint)
	if err != nil {
		return err
	}
	defer dir.Close()
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, dir.Fd(), ext4ResizeFS, uintptr(unsafe.Pointer(&want))); errno != 0 {
		return errno
	}
	return nil
}

// ext4BlockSize is the block size of the disks that BoxLite makes.
const ext4BlockSize = 4096

// ext4Blocks reads the number of blocks from the superblock (1,024 bytes into
// the device; s_blocks_count_lo at 0x4, s_blocks_count_hi at 0x150).
func ext4Blocks(device string) (uint64, error) {
	f, err := os.Open(device)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var super [1024]byte
	if _, err := f.ReadAt(super[:], 1024); err != nil {
		return 0, err
	}
	u32 := func(at int) uint64 {
		return uint64(super[at]) | uint64(super[at+1])<<8 | uint64(super[at+2])<<16 | uint64(super[at+3])<<24
	}
	if super[0x38] != 0x53 || super[0x39] != 0xef {
		return 0, errors.New("it holds no ext4 file system")
	}
	return u32(0x4) | u32(0x150)<<32, nil
}
