package network_test

import (
	"net"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/network/link"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio/virtiotest"
)

// socketPair returns both ends of a cable as it is between two processes.
func socketPair(b *testing.B) (guest, stack link.Endpoint) {
	b.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	var ends [2]link.Endpoint
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "socket")
		conn, err := net.FileConn(file)
		if err != nil {
			b.Fatal(err)
		}
		file.Close()
		ends[i] = link.NewStream(conn)
	}
	return ends[0], ends[1]
}

const (
	// benchQueue is the size of both queues, and bench what is in flight at once.
	benchQueue   = 256
	bench        = 12
	benchAddress = 4 << 20
)

// usedIndex reads how many buffers came back, ever, as the test's driver keeps queues 64
// KiB apart, and used rings in their second halves.
func usedIndex(x *virtiotest.Driver, queue int) uint16 {
	return virtio.Load16(x.Bytes(uint64(queue+1)<<16+1<<15, 4), 2)
}

// await waits until as many buffers came back.
func await(x *virtiotest.Driver, queue int, want uint16) {
	for int16(usedIndex(x, queue)-want) < 0 {
		x.WaitForInterrupt()
	}
}

func BenchmarkTransmit(b *testing.B) {
	for name, size := range map[string]int{"65534": link.MaxFrame, "1514": 1514} {
		b.Run(name, func(b *testing.B) { benchmarkTransmit(b, size) })
	}
}

// benchmarkTransmit has the guest send frames of a header and 16 pages, as Linux does.
func benchmarkTransmit(b *testing.B, size int) {
	guest, stack := socketPair(b)
	d := create(guest)
	var wg sync.WaitGroup
	wg.Go(func() {
		for stack.Receive(func([]byte) {}) == nil {
		}
	})
	b.Cleanup(func() { d.Close(); stack.Close(); wg.Wait() })
	x := virtiotest.Start(b, d, benchQueue, virtio.FeatureEventIndex)
	var heads []uint16
	next := uint16(0)
	for range bench {
		heads = append(heads, next)
		for left := header + size; left > 0; {
			n, flags := min(left, page), uint16(1)
			if left -= n; left == 0 {
				flags = 0
			}
			x.Describe(tx, next, benchAddress+uint64(next)*page, uint32(n), flags, next+1)
			next++
		}
	}
	b.SetBytes(bench * int64(size))
	b.ReportAllocs()
	sent := uint16(0)
	for b.Loop() {
		for _, h := range heads {
			x.MakeAvailable(tx, h)
			sent++
		}
		x.Kick(tx)
		await(x, tx, sent)
	}
	b.ReportMetric(float64(bench*b.N)/b.Elapsed().Seconds(), "frames/s")
}

func BenchmarkReceive(b *testing.B) {
	for name, size := range map[string]int{"65534": link.MaxFrame, "1514": 1514} {
		b.Run(name, func(b *testing.B) { benchmarkReceive(b, size) })
	}
}

// benchmarkReceive has the guest receive into buffers of a page.
func benchmarkReceive(b *testing.B, size int) {
	guest, stack := socketPair(b)
	d := create(guest)
	b.Cleanup(func() { d.Close(); stack.Close() })
	x := virtiotest.Start(b, d, benchQueue, virtio.FeatureEventIndex)
	per := (header + size + page - 1) / page
	for i := range uint16(benchQueue) {
		x.Describe(rx, i, benchAddress+uint64(i)*page, page, 2, 0)
	}
	given := uint16(0)
	give := func(n int) {
		for range n {
			x.MakeAvailable(rx, given%benchQueue)
			given++
		}
	}
	give(benchQueue)
	frames := make([]link.Frame, bench)
	for i := range frames {
		frames[i] = link.Frame{frame(size, i)}
	}
	var wg sync.WaitGroup
	start := make(chan struct{})
	wg.Go(func() {
		for range start {
			if err := stack.Send(frames); err != nil {
				b.Error(err)
			}
		}
	})
	b.SetBytes(bench * int64(size))
	b.ReportAllocs()
	received := uint16(0)
	for b.Loop() {
		start <- struct{}{}
		received += uint16(bench * per)
		await(x, rx, received)
		give(bench * per)
		x.Kick(rx)
	}
	b.ReportMetric(float64(bench*b.N)/b.Elapsed().Seconds(), "frames/s")
	close(start)
	wg.Wait()
}
