package jail

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// target is what a hostile program would like to reach.
type target struct {
	dir, home string
	disk      *os.File
	tcp       net.Listener
	udp       net.PacketConn
	unix      net.Listener
	abstract  net.Listener
}

func newTarget(t *testing.T) *target {
	t.Helper()
	x := &target{home: t.TempDir()}
	x.dir = filepath.Join(x.home, "boxes", "own")
	for path, content := range map[string]string{
		"boxes/own/disk.img": "", "boxes/other/disk.img": "secret", "images/disks/other.ext4": "secret", "notes": "secret",
	} {
		path = filepath.Join(x.home, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if x.disk, err = os.OpenFile(filepath.Join(x.dir, "disk.img"), os.O_RDWR, 0); err != nil {
		t.Fatal(err)
	}
	if x.tcp, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	if x.udp, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(shortDir(t), "s")
	if x.unix, err = net.Listen("unix", socket); err != nil {
		t.Fatal(err)
	}
	if x.abstract, err = net.Listen("unix", fmt.Sprintf("@boxlite-test-%d-%s", os.Getpid(), filepath.Base(x.home))); err != nil {
		t.Fatal(err)
	}
	go echo(x.udp)
	t.Cleanup(func() { x.disk.Close(); x.tcp.Close(); x.udp.Close(); x.unix.Close(); x.abstract.Close() })
	return x
}

// shortDir returns a folder whose paths fit into a socket's address.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "jail")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// echo answers until conn is closed.
func echo(conn net.PacketConn) {
	buffer := make([]byte, 1)
	for {
		n, from, err := conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		_, _ = conn.WriteTo(buffer[:n], from)
	}
}

// task is what the hostile program reads.
type task struct {
	Shim                                  *Plan
	Reach                                 Reach
	Dir                                   string
	Only                                  []string
	UserFile, OtherDisk, OtherImage, Home string
	Socket, Abstract                      string
	TCP, UDP                              int
	Process                               int
	Limits                                Limits
	Forbidden                             []uintptr
}

func (x *target) task(role Role, p Plan) task {
	t := task{
		Dir: x.dir, Home: x.home, UserFile: filepath.Join(x.home, "notes"),
		OtherDisk:  filepath.Join(x.home, "boxes/other/disk.img"),
		OtherImage: filepath.Join(x.home, "images/disks/other.ext4"),
		Socket:     x.unix.Addr().String(), Abstract: strings.TrimPrefix(x.abstract.Addr().String(), "@"),
		TCP: x.tcp.Addr().(*net.TCPAddr).Port, UDP: x.udp.LocalAddr().(*net.UDPAddr).Port,
		Process: os.Getpid(),
		Limits:  Limits{MemoryBytes: 192 << 20, FileBytes: 1 << 20, Threads: 64, CPUs: 2},
	}
	if p.Has(Seccomp) {
		t.Forbidden = forbidden(role)
	}
	return t
}
