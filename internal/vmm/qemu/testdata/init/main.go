// Command init is the first process of the tests' guests. It does what it is
// told through the portal.
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/portal"
	"github.com/boxlite-go/boxlite/internal/protocol"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "init:", err)
	}
	// The kernel panics now, as its first process ends.
}

func run() error {
	for _, m := range []string{"proc", "sysfs", "devtmpfs"} {
		if err := unix.Mount(m, "/"+m, m, 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m, err)
		}
	}
	port, err := openPort()
	if err != nil {
		return err
	}
	session, err := portal.Server(context.Background(), port, 1)
	if err != nil {
		return err
	}
	listener := session.Listener(1)
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		if err := serve(conn); err != nil {
			return err
		}
	}
}

// serve reads one command and does it. An error ends the guest.
func serve(conn net.Conn) error {
	defer conn.Close()
	in := bufio.NewReader(conn)
	command, err := in.ReadString('\n')
	if err != nil {
		return err
	}
	command, argument, _ := strings.Cut(strings.TrimSuffix(command, "\n"), " ")
	switch command {
	case "echo":
		_, err = io.Copy(conn, in)
	case "print":
		_, err = fmt.Println(argument)
	case "flood": // prints 3 MiB
		line := strings.Repeat("x", 1022) + "\n"
		for range 3 << 10 {
			fmt.Print(line)
		}
	case "read":
		var data []byte
		if data, err = os.ReadFile(argument); err == nil {
			_, err = conn.Write(data)
		}
	case "disks":
		err = listDisks(conn)
	case "write": // DISK TEXT: at the disk's start, flushed
		name, text, _ := strings.Cut(argument, " ")
		err = writeDisk(name, text)
	case "fill": // DISK: 1 MiB of it
		err = writeDisk(argument, strings.Repeat("x", 1<<20))
	case "discard": // DISK: the same
		err = discardDisk(argument)
	case "poweroff":
		err = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	case "reboot":
		err = unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
	case "exit":
		err = fmt.Errorf("told to exit")
	default:
		err = fmt.Errorf("no such command: %q", command)
	}
	return err
}

func openPort() (*os.File, error) {
	names, err := filepath.Glob("/sysfs/class/virtio-ports/*/name")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err == nil && strings.TrimSpace(string(text)) == protocol.PortName {
			return os.OpenFile("/devtmpfs/"+filepath.Base(filepath.Dir(name)), os.O_RDWR|unix.O_NONBLOCK, 0)
		}
	}
	return nil, fmt.Errorf("no port named %s", protocol.PortName)
}

// listDisks writes a line for each: name, serial, read-only, sectors.
func listDisks(w io.Writer) error {
	disks, err := filepath.Glob("/sysfs/block/vd*")
	if err != nil {
		return err
	}
	for _, disk := range disks {
		fields := []string{filepath.Base(disk)}
		for _, file := range []string{"serial", "ro", "size"} {
			text, err := os.ReadFile(filepath.Join(disk, file))
			if err != nil {
				return err
			}
			fields = append(fields, strings.TrimSpace(string(text)))
		}
		if _, err := fmt.Fprintln(w, strings.Join(fields, " ")); err != nil {
			return err
		}
	}
	return nil
}

func writeDisk(name, text string) error {
	f, err := os.OpenFile("/devtmpfs/"+name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		return err
	}
	return f.Sync()
}

func discardDisk(name string) error {
	f, err := os.OpenFile("/devtmpfs/"+name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	extent := [2]uint64{0, 1 << 20}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), unix.BLKDISCARD, uintptr(unsafe.Pointer(&extent))); errno != 0 {
		return os.NewSyscallError("BLKDISCARD", errno)
	}
	return f.Sync()
}
