package network_test

import (
	"encoding/binary"
	"log/slog"
	"net"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/boxlite-go/boxlite/internal/network/link"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio/network"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio/virtiotest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	rx = 0
	tx = 1

	header = 12
	page   = 4096
)

var (
	quiet = slog.New(slog.DiscardHandler)
	mac   = net.HardwareAddr{2, 1, 2, 3, 4, 5}
)

// card is a card whose driver is x, and the other end of its cable.
type card struct {
	*network.Device
	x     *virtiotest.Driver
	stack link.Endpoint

	frames chan []byte // that the stack has received
	wg     sync.WaitGroup
}

// start returns a card with all offloads, which is closed with the test.
func start(t testing.TB, size uint16, without uint64) *card {
	guest, stack := link.Pipe()
	c := &card{Device: create(guest), stack: stack, frames: make(chan []byte, 1000)}
	t.Cleanup(func() { // after the driver's
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		c.wg.Wait()
	})
	c.x = virtiotest.Start(t, c.Device, size, without)
	c.wg.Go(func() {
		for stack.Receive(func(f []byte) { c.frames <- append([]byte(nil), f...) }) == nil {
		}
	})
	return c
}

func create(l link.Endpoint) *network.Device {
	return network.New(network.Config{MAC: mac, Link: l, NoChecksums: true, GoodChecksums: true, Log: quiet})
}

// frame returns a frame whose bytes say which it is.
func frame(size, which int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i*7 + i>>8 + which)
	}
	return b
}

// offer makes buffers of one page available for frames.
func (c *card) offer(n int) {
	for range n {
		c.x.Add(rx, virtiotest.Piece{Space: page})
	}
	c.x.Kick(rx)
}

// receive returns a frame that the guest has received, with its header.
func (c *card) receive(t testing.TB) (head, content []byte) {
	t.Helper()
	u := c.x.Next(rx)
	all := u.Data[:u.Written]
	if len(all) < header {
		t.Fatalf("%d bytes were written", len(all))
	}
	head, content = all[:header], append(content, all[header:]...)
	for range binary.LittleEndian.Uint16(head[10:]) - 1 {
		u, ok := c.x.Poll(rx)
		if !ok {
			t.Fatal("a part of a frame came without the rest")
		}
		content = append(content, u.Data[:u.Written]...)
	}
	return head, content
}

// send has the stack send frames.
func (c *card) send(t testing.TB, frames ...[]byte) {
	t.Helper()
	var all []link.Frame
	for _, f := range frames {
		all = append(all, link.Frame{f[:len(f)/2], f[len(f)/2:]})
	}
	if err := c.stack.Send(all); err != nil {
		t.Fatal(err)
	}
}
