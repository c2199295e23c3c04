package virtio_test

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/network/link"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/memory"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio/balloon"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio/block"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio/console"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio/network"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio/random"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio/vsock"
)

// subject is a device with its host.
type subject struct {
	virtio.Device
	// act has the host do something. It may be nil.
	act func(n byte)
	// end ends the device: before does so while the transport is there, which may wait for
	// the host, and after when it is closed.
	before, after func()
}

func nothing() {}

// subjects are all devices.
var subjects = []struct {
	name string
	make func(testing.TB, *memory.Memory) subject
}{
	{"block", func(t testing.TB, _ *memory.Memory) subject { return disk(t, false, 1) }},
	{"block of several queues", func(t testing.TB, _ *memory.Memory) subject { return disk(t, false, 3) }},
	{"block to read", func(t testing.TB, _ *memory.Memory) subject { return disk(t, true, 1) }},
	{"console", func(testing.TB, *memory.Memory) subject {
		d := console.New(io.Discard, discard)
		return subject{d, nil, nothing, d.Flush}
	}},
	{"random", func(testing.TB, *memory.Memory) subject { return subject{random.New(), nil, nothing, nothing} }},
	{"balloon", func(_ testing.TB, m *memory.Memory) subject {
		d := balloon.New(m, discard)
		return subject{d, func(n byte) { d.SetTarget(uint64(n) << 12); d.Actual() }, nothing, nothing}
	}},
	{"network", card},
	{"vsock", sockets},
}

func disk(t testing.TB, readOnly bool, queues int) subject {
	f, err := os.Create(filepath.Join(t.TempDir(), "disk"))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(1 << 20); err != nil {
		t.Fatal(err)
	}
	d, err := block.New(block.Config{File: f, ReadOnly: readOnly, Queues: queues, Log: discard})
	if err != nil {
		t.Fatal(err)
	}
	return subject{d, nil, nothing, func() { f.Close() }}
}

func pair(t testing.TB) (a, b *net.UnixConn) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ends := [2]*net.UnixConn{}
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socket")
		c, err := net.FileConn(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		ends[i] = c.(*net.UnixConn)
	}
	return ends[0], ends[1]
}

// card is a network card, the other end of which reads all that comes.
func card(t testing.TB, _ *memory.Memory) subject {
	ours, theirs := pair(t)
	d := network.New(network.Config{MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, Link: link.NewStream(ours), NoChecksums: true, GoodChecksums: true, Log: discard})
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = io.Copy(io.Discard, theirs) })
	return subject{d, func(n byte) {
		frame := make([]byte, 4+14+int(n)*5)
		binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
		if raw, err := theirs.SyscallConn(); err == nil { // what has no room is lost
			_ = raw.Write(func(fd uintptr) bool { _, _ = syscall.Write(int(fd), frame); return true })
		}
	}, func() { _ = d.Close() }, func() { theirs.Close(); wg.Wait() }}
}

// sockets is a socket device, the other ends of which send back all that comes.
func sockets(t testing.TB, _ *memory.Memory) subject {
	var wg sync.WaitGroup
	echo := func() vsock.Conn {
		ours, theirs := pair(t)
		wg.Go(func() {
			defer theirs.Close()
			_, _ = io.Copy(theirs, theirs)
		})
		return ours
	}
	d := vsock.New(vsock.Config{CID: 3, Log: discard, Dial: func(port uint32) (vsock.Conn, error) {
		if port%2 == 0 {
			return nil, io.EOF
		}
		return echo(), nil
	}})
	return subject{d, func(n byte) {
		if n%8 == 0 { // descriptors are few
			d.Connect(uint32(n), echo())
		}
	}, nothing, func() { _ = d.Close(); wg.Wait() }}
}
