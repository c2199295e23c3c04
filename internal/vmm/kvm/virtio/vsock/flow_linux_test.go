package vsock

import (
	"bytes"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"
)

// connect makes the guest connect to the host.
func connect(t testing.TB, g *guest, dl *dialer, port uint32) (*sock, *net.UnixConn) {
	t.Helper()
	s := g.dial(openPort, port)
	g.wait(s.isAnswered)
	if !s.open {
		t.Fatal("the guest can't connect")
	}
	return s, <-dl.conns
}

func TestHalfCloses(t *testing.T) {
	g, _, dl := start(t)
	t.Run("of the guest", func(t *testing.T) {
		s, c := connect(t, g, dl, 100)
		_, _ = s.Write([]byte("question"))
		s.CloseWrite()
		if got, err := io.ReadAll(c); err != nil || string(got) != "question" {
			t.Fatalf("%q, %v", got, err)
		}
		_, _ = c.Write([]byte("answer"))
		_ = c.Close()
		if got, err := io.ReadAll(s); err != nil || string(got) != "answer" {
			t.Errorf("%q, %v", got, err)
		}
		g.wait(func() bool { return s.reset || s.shut == shutBoth })
		s.Close()
	})
	t.Run("of the host", func(t *testing.T) {
		s, c := connect(t, g, dl, 101)
		_, _ = c.Write([]byte("question"))
		_ = c.CloseWrite()
		if got, err := io.ReadAll(s); err != nil || string(got) != "question" {
			t.Fatalf("%q, %v", got, err)
		}
		_, _ = s.Write([]byte("answer"))
		s.Close()
		if got, err := io.ReadAll(c); err != nil || string(got) != "answer" {
			t.Errorf("%q, %v", got, err)
		}
	})
	t.Run("the guest does not receive", func(t *testing.T) {
		s, c := connect(t, g, dl, 102)
		s.send(opShutdown, shutReceive, nil)
		for err := error(nil); err == nil; {
			_, err = c.Write(make([]byte, 1000)) // until the device has taken it
		}
		_, _ = s.Write([]byte("still"))
		s.CloseWrite()
		if got, err := io.ReadAll(c); err != nil || string(got) != "still" {
			t.Errorf("%q, %v", got, err)
		}
		s.Close()
	})
	t.Run("the host goes away after it ended what it sends", func(t *testing.T) {
		s, c := connect(t, g, dl, 103)
		_ = c.CloseWrite()
		g.wait(func() bool { return s.shut == shutSend })
		_ = c.Close()
		g.wait(func() bool { return s.reset })
	})
	t.Run("the host goes away while the guest sends", func(t *testing.T) {
		s, c := connect(t, g, dl, 104)
		_ = c.Close()
		for err := error(nil); err == nil; {
			_, err = s.Write(make([]byte, 100_000))
		}
	})
}

// TestSlowHost has a host that does not read: the guest runs out of credit, and no other
// stream waits. When the guest closes, the host still gets all.
func TestSlowHost(t *testing.T) {
	g, _, dl := start(t)
	slow, c := connect(t, g, dl, 100)
	content := random(3 << 20)
	written := make(chan error, 1)
	go func() {
		_, err := slow.Write(content)
		slow.CloseWrite()
		written <- err
	}()
	g.wait(func() bool { return slow.alloc != 0 && slow.sent-slow.fwd == slow.alloc })
	quick, other := connect(t, g, dl, 101)
	exchange(t, quick, other, random(1<<20), random(1<<20))
	if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
	slow.Close()

	// Nor is anything lost that the device still has when the guest forgets the stream.
	s, c := connect(t, g, dl, 102)
	if _, err := s.Write(content[:500_000]); err != nil {
		t.Fatal(err)
	}
	s.send(opReset, 0, nil)
	if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, content[:500_000]) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// TestSlowGuest has an application in the guest that does not read.
func TestSlowGuest(t *testing.T) {
	g, _, dl := start(t)
	s, c := connect(t, g, dl, 100)
	content := random(3 << 20)
	go func() {
		_, _ = c.Write(content)
		_ = c.CloseWrite()
	}()
	g.wait(func() bool { return s.received == g.bufAlloc && s.creditRequests > 0 })
	quick, other := connect(t, g, dl, 101)
	exchange(t, quick, other, random(1<<20), random(1<<20))
	if got, err := io.ReadAll(s); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	g.mu.Lock()
	if s.creditRequests > 100 {
		t.Errorf("%d requests for credit", s.creditRequests)
	}
	g.mu.Unlock()
	s.Close()
}

// TestFewBuffers has a guest that is slow to give buffers back, for many streams: each has
// its turn, and what isn't data goes first.
func TestFewBuffers(t *testing.T) {
	dl := &dialer{t: t, conns: make(chan *net.UnixConn, maxStreams)}
	d := New(Config{CID: guestCID, Dial: dl.dial})
	t.Cleanup(func() { _ = d.Close() })
	g := newGuest(t).boot(d, 4)
	type stream struct {
		s *sock
		c *net.UnixConn
	}
	var streams []stream
	for i := range 20 {
		s, c := connect(t, g, dl, uint32(100+i))
		streams = append(streams, stream{s, c})
	}
	g.mu.Lock()
	g.holdRX = true
	g.mu.Unlock()
	var wg sync.WaitGroup
	for _, s := range streams {
		wg.Go(func() {
			_, _ = s.c.Write(random(100_000))
			_ = s.c.CloseWrite()
		})
	}
	g.wait(func() bool { return len(g.held) == 4 })
	refused := g.dial(closedPort, 99)
	g.giveBack()
	g.wait(refused.isAnswered)
	for _, s := range streams {
		if got, err := io.ReadAll(s.s); err != nil || !bytes.Equal(got, random(100_000)) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		s.s.Close()
	}
	wg.Wait()
}

func TestPauseUnderLoad(t *testing.T) {
	g, _, dl := start(t)
	isOver := false // g.mu is for it
	var wg, pauser sync.WaitGroup
	pauser.Go(func() {
		// Each time, something has come in between: a device that is paused again at once
		// can do nothing where there is only one processor.
		for last := 0; ; {
			g.wait(func() bool { return isOver || g.packets > last })
			g.mu.Lock()
			last = g.packets
			stop := isOver
			g.mu.Unlock()
			if stop {
				return
			}
			g.x.Transport.Pause()
			if _, err := g.x.Transport.Save(); err != nil {
				t.Error(err)
			}
			g.x.Transport.Resume()
		}
	})
	for i := range 8 {
		s, c := connect(t, g, dl, uint32(100+i))
		wg.Go(func() { exchange(t, s, c, random(1<<20), random(1<<20)) })
	}
	wg.Wait()
	g.mu.Lock()
	isOver = true
	g.changed.Broadcast()
	g.mu.Unlock()
	pauser.Wait()
}

func TestDriverReset(t *testing.T) {
	g, d, dl := start(t)
	_, c := connect(t, g, dl, 100)
	g.mu.Lock()
	g.x.Init(256, 1<<32|1<<29|1<<28)
	g.setUp(256)
	g.mu.Unlock()
	if got, err := io.ReadAll(c); err != nil || len(got) > 0 {
		t.Errorf("%q, %v", got, err)
	}
	s, c := connect(t, g, dl, 100)
	exchange(t, s, c, random(100_000), random(100_000))
	for d.count() > 0 { // nothing is left
		runtime.Gosched()
	}
}

// TestRestore goes on in another device: the guest learns that its streams have ended.
func TestRestore(t *testing.T) {
	g, first, dl := start(t)
	s, c := connect(t, g, dl, 100)
	_, _ = s.Write([]byte("before"))
	if _, err := io.ReadFull(c, make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	g.x.Transport.Pause()
	saved, err := g.x.Transport.Save()
	if err != nil {
		t.Fatal(err)
	}
	second := New(Config{CID: guestCID, Dial: dl.dial})
	t.Cleanup(func() { _ = second.Close() })
	accepted := g.listen(80)
	ours, theirs := pair(t)
	second.Connect(80, ours) // at once, but the event ends no new streams
	g.mu.Lock()
	g.x.Restart(second, saved)
	g.mu.Unlock()
	g.wait(func() bool { return s.reset })
	exchange(t, <-accepted, theirs, random(100_000), random(100_000))
	s, other := connect(t, g, dl, 100)
	exchange(t, s, other, random(100_000), random(100_000))
	g.mu.Lock()
	if g.events != 1 {
		t.Errorf("%d events", g.events)
	}
	g.mu.Unlock()
	_ = first.Close()
	if got, err := io.ReadAll(c); err != nil || len(got) > 0 {
		t.Errorf("%q, %v", got, err)
	}
	// Without streams there is no event.
	for second.count() > 0 {
		runtime.Gosched()
	}
	g.x.Transport.Pause()
	if saved, err = g.x.Transport.Save(); err != nil {
		t.Fatal(err)
	}
	third := New(Config{CID: guestCID, Dial: dl.dial})
	t.Cleanup(func() { _ = third.Close() })
	g.mu.Lock()
	g.x.Restart(third, saved)
	g.mu.Unlock()
	s, other = connect(t, g, dl, 101)
	exchange(t, s, other, nil, nil)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.events != 1 {
		t.Errorf("%d events", g.events)
	}
	if err := third.Restore([]byte("{")); err == nil {
		t.Error("restored from nonsense")
	}
}

func TestCloseWhileBusy(t *testing.T) {
	g, d, dl := start(t)
	for i := range 20 {
		s, c := connect(t, g, dl, uint32(100+i))
		go func() { _, _ = s.Write(make([]byte, 10<<20)) }()
		go func() { _, _ = c.Write(make([]byte, 10<<20)) }()
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	ours, theirs := pair(t)
	d.Connect(80, ours)
	_ = theirs.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := theirs.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("connected to a closed device: %v", err)
	}
}
