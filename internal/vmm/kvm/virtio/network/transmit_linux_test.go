package network_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/boxlite-go/boxlite/internal/network/link"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio/network"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio/virtiotest"
)

func TestConfiguration(t *testing.T) {
	c := start(t, 16, 0)
	want := append([]byte(mac), 1, 0, 0, 0)
	want = binary.LittleEndian.AppendUint16(want, link.MTU)
	want = append(want, 0, 0)
	if got := c.x.Config(0, len(want)); !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
	c.x.Set(0x100, 0)
	if got := c.x.Config(2, 2); !bytes.Equal(got, want[2:4]) {
		t.Errorf("the driver has changed it to %x", got)
	}
	plain := network.New(network.Config{MAC: mac, Log: quiet})
	if got, want := plain.Features(), network.FeatureMAC|network.FeatureMTU|network.FeatureStatus|network.FeatureMergeable; got != want {
		t.Errorf("features %#x, want %#x", got, want)
	}
}

// pieces cuts a header and a frame into pieces.
func pieces(f []byte, sizes ...int) (all []virtiotest.Piece) {
	b := append(bytes.Repeat([]byte{0xff}, header), f...) // the header has no meaning
	for _, n := range sizes {
		all = append(all, virtiotest.Piece{Content: b[:n]})
		b = b[n:]
	}
	return append(all, virtiotest.Piece{Content: b})
}

func TestFramesOfAnyFramingAreSent(t *testing.T) {
	for name, without := range map[string]uint64{"all features": 0, "none": ^uint64(0) &^ virtio.FeatureVersion1} {
		t.Run(name, func(t *testing.T) {
			c := start(t, 16, without)
			for round, size := range []int{14, 15, 60, 1514, 9000, link.MaxFrame} {
				for i, sizes := range [][]int{{}, {12}, {1}, {11}, {13}, {5, 7}, {12, 14}, {6, 6, 1, 1}, {25}} {
					f := frame(size, 10*round+i)
					head, _ := c.x.Add(tx, pieces(f, sizes...)...)
					c.x.Kick(tx)
					if u := c.x.Next(tx); u.Head != head || u.Written != 0 {
						t.Errorf("%+v", u)
					}
					if got := <-c.frames; !bytes.Equal(got, f) {
						t.Fatalf("a frame of %d bytes in pieces of %v arrived as one of %d, or others", size, sizes, len(got))
					}
				}
			}
		})
	}
}

func TestManyFramesAreSentInOrder(t *testing.T) {
	c := start(t, 256, 0)
	for round := range 20 {
		for i := range 100 { // more than a batch
			c.x.Add(tx, pieces(frame(500, 100*round+i), 12)...)
		}
		c.x.Kick(tx)
		for i := range 100 {
			c.x.Next(tx)
			if got := <-c.frames; !bytes.Equal(got, frame(500, 100*round+i)) {
				t.Fatalf("frame %d is another", 100*round+i)
			}
		}
	}
}

func TestWhatIsNoFrameIsDropped(t *testing.T) {
	c := start(t, 16, 0)
	for _, size := range []int{0, 1, 11, 12, 12 + 13, 12 + link.MaxFrame + 1, 1 << 20} {
		c.x.Add(tx, virtiotest.Piece{Content: make([]byte, size)})
	}
	c.x.Add(tx, virtiotest.Piece{Space: 100})
	c.x.Add(tx, pieces(frame(60, 1), 12)...)
	c.x.Kick(tx)
	for range 9 {
		c.x.Next(tx)
	}
	if got := <-c.frames; !bytes.Equal(got, frame(60, 1)) {
		t.Error("another frame arrived")
	}
	if sent, received := c.Dropped(); sent != 8 || received != 0 {
		t.Errorf("dropped %d and %d", sent, received)
	}
}

// TestSendingOutlivesTheLink ends the link: the guest has its buffers back, and is told.
func TestSendingOutlivesTheLink(t *testing.T) {
	c := start(t, 16, 0)
	if err := c.stack.Close(); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		c.x.Add(tx, pieces(frame(60, 1), 12)...)
		c.x.Kick(tx)
		c.x.Next(tx)
	}
	if got := c.x.Config(6, 2); got[0] != 0 {
		t.Error("the link is up")
	}
	if sent, _ := c.Dropped(); sent != 100 {
		t.Errorf("dropped %d", sent)
	}
}

// TestCloseEndsSend has a stack that does not read.
func TestCloseEndsSend(t *testing.T) {
	guest, stack := link.Pipe()
	defer stack.Close()
	d := create(guest)
	x := virtiotest.Start(t, d, 256, 0)
	const address = 8 << 20
	for i := range uint16(200) { // more than a pipe has room for
		x.Describe(tx, i, address, header+link.MaxFrame, 0, 0)
		x.MakeAvailable(tx, i)
	}
	x.Kick(tx)
	if err := stack.Receive(func([]byte) {}); err != nil { // the first of them
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	x.Transport.Pause()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}
