package network_test

import (
	"bytes"
	"runtime"
	"testing"

	"github.com/boxlite-go/boxlite/internal/network/link"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio/network"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio/virtiotest"
)

func TestFramesAreReceivedInMergedBuffers(t *testing.T) {
	for name, without := range map[string]uint64{"all features": 0, "no event index": virtio.FeatureEventIndex} {
		t.Run(name, func(t *testing.T) {
			c := start(t, 64, without)
			for i, size := range []int{14, 60, page - header, page - header + 1, 2*page - header, 9000, link.MaxFrame} {
				buffers := (size + header + page - 1) / page
				c.offer(buffers)
				c.send(t, frame(size, i))
				head, content := c.receive(t)
				if want := []byte{2, 0, 0, 0, 0, 0, 0, 0, 0, 0, byte(buffers), 0}; !bytes.Equal(head, want) || !bytes.Equal(content, frame(size, i)) {
					t.Errorf("%d bytes: header %x and %d bytes", size, head, len(content))
				}
			}
		})
	}
}

func TestFramesAreReceivedWithoutMerging(t *testing.T) {
	c := start(t, 16, network.FeatureMergeable|network.FeatureGuestChecksum)
	// A frame that does not fit into the first buffer never will.
	c.x.Add(rx, virtiotest.Piece{Space: 12}, virtiotest.Piece{Space: 48})
	c.x.Add(rx, virtiotest.Piece{Space: 5}, virtiotest.Piece{Space: 100}, virtiotest.Piece{Space: 70000})
	c.x.Kick(rx)
	c.send(t, frame(49, 1), frame(48, 2), frame(link.MaxFrame, 3))
	head, content := c.receive(t)
	if !bytes.Equal(head, []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0}) || !bytes.Equal(content, frame(48, 2)) {
		t.Errorf("header %x and %d bytes", head, len(content))
	}
	if _, content := c.receive(t); !bytes.Equal(content, frame(link.MaxFrame, 3)) {
		t.Errorf("%d bytes", len(content))
	}
	if sent, received := c.Dropped(); sent != 0 || received != 1 {
		t.Errorf("dropped %d and %d", sent, received)
	}
}

func TestFramesLargerThanAllBuffersAreDropped(t *testing.T) {
	c := start(t, 8, 0)
	c.offer(8)
	c.send(t, frame(8*page, 1), frame(8*page-header, 2))
	if _, content := c.receive(t); !bytes.Equal(content, frame(8*page-header, 2)) {
		t.Errorf("%d bytes", len(content))
	}
	if _, received := c.Dropped(); received != 1 {
		t.Errorf("dropped %d", received)
	}
}

// TestNothingIsLost has a guest that is slow to make buffers available, of odd sizes.
func TestNothingIsLost(t *testing.T) {
	c := start(t, 256, 0)
	const frames = 400
	size := func(i int) int { return 14 + i*37%9000 }
	c.wg.Go(func() {
		for i := range frames {
			if err := c.stack.Send([]link.Frame{{frame(size(i), i)}}); err != nil {
				t.Error(err)
			}
		}
	})
	var all []byte
	offered, taken := 0, 0
	take := func() virtiotest.Used {
		for {
			if u, ok := c.x.Poll(rx); ok {
				taken++
				return u
			}
			if offered-taken < 100 { // enough for the largest frame
				c.x.Add(rx, virtiotest.Piece{Space: 1 + offered%50}, virtiotest.Piece{Space: 100 + offered*31%3000})
				c.x.Kick(rx)
				offered++
			} else {
				runtime.Gosched()
			}
		}
	}
	for i := range frames {
		u := take()
		all = append(all[:0], u.Data[:u.Written]...)
		for range all[10] - 1 {
			u := take()
			all = append(all, u.Data[:u.Written]...)
		}
		if !bytes.Equal(all[header:], frame(size(i), i)) {
			t.Fatalf("frame %d has %d bytes, or others", i, len(all)-header)
		}
	}
	if _, received := c.Dropped(); received != 0 {
		t.Errorf("dropped %d", received)
	}
}

// TestBuffersOfAFrameComeTogether looks for them all the time, as Linux does.
func TestBuffersOfAFrameComeTogether(t *testing.T) {
	c := start(t, 64, 0)
	c.wg.Go(func() {
		for i := range 300 {
			if err := c.stack.Send([]link.Frame{{frame(link.MaxFrame, i)}}); err != nil {
				t.Error(err)
			}
		}
	})
	for i := range 300 {
		c.offer(17)
		var u virtiotest.Used
		ok := false
		for !ok {
			u, ok = c.x.Poll(rx)
			runtime.Gosched()
		}
		for n := range int(u.Data[10]) - 1 {
			if _, ok := c.x.Poll(rx); !ok {
				t.Fatalf("of frame %d, buffer %d is missing", i, n+1)
			}
		}
	}
}

func TestPausedCardsGoOn(t *testing.T) {
	c := start(t, 16, 0)
	c.x.Transport.Pause() // while it waits for the stack
	c.send(t, frame(100, 1))
	c.offer(1)
	if _, ok := c.x.Poll(rx); ok {
		t.Error("it worked while it was paused")
	}
	c.x.Transport.Resume()
	if _, content := c.receive(t); !bytes.Equal(content, frame(100, 1)) {
		t.Error("another frame arrived")
	}

	c.offer(1) // too little for what comes
	c.send(t, frame(2*page, 2), frame(60, 3))
	for range 100 { // while it waits for buffers, sooner or later
		c.x.Transport.Pause()
		c.x.Transport.Resume()
	}
	c.offer(3)
	if _, content := c.receive(t); !bytes.Equal(content, frame(2*page, 2)) {
		t.Error("another frame arrived")
	}
	if _, content := c.receive(t); !bytes.Equal(content, frame(60, 3)) {
		t.Error("another frame arrived")
	}
}

func TestRestoredCardsGoOn(t *testing.T) {
	c := start(t, 16, 0)
	c.offer(1)
	c.send(t, frame(2*page, 1)) // waits for more
	c.x.Add(tx, pieces(frame(60, 2), 12)...)
	c.x.Kick(tx)
	c.x.Next(tx)
	c.x.Transport.Pause()
	s, err := c.x.Transport.Save()
	if err != nil {
		t.Fatal(err)
	}
	guest, stack := link.Pipe()
	next := create(guest)
	defer next.Close()
	defer stack.Close()
	c.x.Add(tx, pieces(frame(61, 3), 12)...)
	c.x.Restart(next, s)
	if err := stack.Send([]link.Frame{{frame(62, 4)}}); err != nil {
		t.Fatal(err)
	}
	if _, content := c.receive(t); !bytes.Equal(content, frame(62, 4)) {
		t.Error("another frame was received")
	}
	c.x.Next(tx)
	if err := stack.Receive(func(f []byte) {
		if !bytes.Equal(f, frame(61, 3)) {
			t.Error("another frame was sent")
		}
	}); err != nil {
		t.Error(err)
	}
}

// TestBrokenRules has a driver break the rules. What could not be delivered is when it has
// reset the card.
func TestBrokenRules(t *testing.T) {
	for name, breakRules := range map[string]func(x *virtiotest.Driver){
		"too small a buffer": func(x *virtiotest.Driver) { x.Add(rx, virtiotest.Piece{Space: header - 1}) },
		"none to write to":   func(x *virtiotest.Driver) { x.Add(rx, virtiotest.Piece{Content: make([]byte, 100)}) },
		"outside of memory":  func(x *virtiotest.Driver) { x.Describe(rx, 0, 1<<40, 100, 2, 0); x.MakeAvailable(rx, 0) },
		"after a good one": func(x *virtiotest.Driver) {
			x.Add(rx, virtiotest.Piece{Space: 20})
			x.Add(rx, virtiotest.Piece{Space: 1})
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := start(t, 16, 0)
			breakRules(c.x)
			c.x.Kick(rx)
			c.send(t, frame(60, 1))
			if why := c.x.WaitForInterrupt(); why&2 == 0 || !c.x.NeedsReset() {
				t.Fatalf("interrupt %d", why)
			}
			c.x.Init(16, c.Features()|virtio.FeatureVersion1)
			c.offer(1)
			if _, content := c.receive(t); !bytes.Equal(content, frame(60, 1)) {
				t.Error("another frame was received")
			}
		})
	}
}

// TestBuffersMadeAvailableTwice has more of them than the queue, while the card waits.
func TestBuffersMadeAvailableTwice(t *testing.T) {
	c := start(t, 8, 0)
	c.send(t, frame(60000, 1))
	for !c.x.NeedsReset() {
		c.x.Add(rx, virtiotest.Piece{Space: header})
		c.x.Kick(rx)
		if _, received := c.Dropped(); received > 0 {
			break // the queue was full, with too little
		}
	}
}

func TestCloseWhileTheGuestIsWaitedFor(t *testing.T) {
	c := start(t, 8, 0)
	c.send(t, frame(60, 1))
	c.x.Add(rx, virtiotest.Piece{Space: header})
	c.x.Kick(rx)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if got := c.x.Config(6, 1); got[0] != 0 {
		t.Error("the link is up")
	}
}

func TestCloseWithoutStart(t *testing.T) {
	guest, _ := link.Pipe()
	if err := create(guest).Close(); err != nil {
		t.Error(err)
	}
}
