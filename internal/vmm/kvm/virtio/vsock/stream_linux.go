package vsock

import (
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// States of a stream.
const (
	stateWaiting   = iota // the guest was not told yet that the host connects
	stateRequested        // it was, and has not answered
	stateDialling         // the guest connects, and the host has not answered
	stateOpen
)

// What a stream has to send that isn't data, in the order of sending.
const (
	pendRequest = 1 << iota
	pendResponse
	pendCredit        // how much was taken
	pendCreditRequest // asks for that
	pendShutdown
)

// stream is one connection. Device.mu is for all of it, but for what is said otherwise.
type stream struct {
	d     *Device
	key   key
	state int
	conn  Conn // nil while dialling
	// raw is for conns of the kernel, which are read and written in place; else nil.
	raw syscall.RawConn

	isEnded  bool // all is over, but for closing
	isOff    bool // the guest does not know it any more, but the host is to get the rest
	pending  uint32
	isQueued bool // in Device.control

	// Flags of shutdowns: the guest's, and those of the host.
	guestShut, hostShut uint32

	// From the guest. received counts what it has sent, and taken what the host has of
	// that; told is the latest that the guest was told of.
	bufAlloc              uint32
	received, taken, told uint32
	out                   buffer
	// isWriting is that a goroutine writes to conn; it is for that one what is in write.
	isWriting  bool
	isFinished bool // conn.CloseWrite was called
	isDeaf     bool // the host does not read any more
	write      struct {
		iov  []unix.Iovec
		n    int
		err  error
		call func(fd uintptr) bool
	}

	// To the guest, which has said how much it can take.
	peerAlloc, peerTaken uint32
	lacksCredit          bool // the reader waits for that
	wake                 chan struct{}
	isWatched            bool // the reader began before the stream was open
	isStarted            atomic.Bool

	// These are for rx.mu.
	sent      uint32 // counts bytes
	hasAsked  bool   // for credit, since there was none
	batch     int    // how many of the guest's buffers to fill at once
	left      []byte // what was read and not sent, of conns that aren't raw
	isInLine  bool
	isAllRead bool // the reader has left
}

// add makes a stream, or returns nil if there are too many.
func (d *Device) add(k key, state int) *stream {
	if d.isClosed || len(d.all) >= maxStreams {
		return nil
	}
	s := &stream{d: d, key: k, state: state, bufAlloc: smallCredit, wake: make(chan struct{}, 1), batch: 1}
	if d.wide < wideStreams {
		d.wide++
		s.bufAlloc = wideCredit
	}
	d.streams[k] = s
	d.all[s] = struct{}{}
	return s
}

// attach gives a stream its end in the host.
func (s *stream) attach(conn Conn) {
	s.conn = conn
	switch conn.(type) {
	case *net.UnixConn, *net.TCPConn:
		if raw, err := conn.(syscall.Conn).SyscallConn(); err == nil {
			s.raw = raw
			s.write.call = s.writeOnce
		}
	}
}

// open begins to pass bytes.
func (d *Device) open(s *stream) {
	s.state = stateOpen
	s.isStarted.Store(true)
	if s.isWatched {
		_ = s.conn.SetReadDeadline(time.Unix(1, 0)) // has the reader look
		return
	}
	d.others.Go(s.read)
}

// watch has the reader wait for the stream to be open, or for the host to go away before.
func (d *Device) watch(s *stream) {
	if s.raw != nil {
		s.isWatched = true
		d.others.Go(s.read)
	}
}

// send has packets be sent for a stream, at the next flush.
func (d *Device) send(s *stream, pending uint32) {
	s.pending |= pending
	if !s.isQueued {
		s.isQueued = true
		if d.control.len() >= 2*maxStreams {
			// The guest does not receive, but streams come and go.
			d.control.keep(func(s *stream) bool { return !s.isEnded && !s.isOff })
		}
		d.control.push(s)
	}
}

// rouse has the reader look again whether it may go on.
func (s *stream) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// credit is how many bytes the guest can take. It may lie: then it gets none, or more
// than it has room for.
func (s *stream) credit() uint32 {
	if flying := s.sent - s.peerTaken; flying < s.peerAlloc {
		return s.peerAlloc - flying
	}
	return 0
}

// took counts bytes that the guest has sent and the host has taken. The guest is told
// before it runs out of credit.
func (d *Device) took(s *stream, n int) {
	s.taken += uint32(n)
	if s.taken-s.told >= s.bufAlloc/4 && s.guestShut&shutSend == 0 {
		d.send(s, pendCredit)
	}
}

// shut tells the guest that the host does not send or receive any more.
func (d *Device) shut(s *stream, flags uint32) {
	if s.isEnded || s.isOff || s.hostShut|flags == s.hostShut {
		return
	}
	s.hostShut |= flags
	d.send(s, pendShutdown)
}

// deafen is for when the host has closed its end: what the guest sends is lost.
func (d *Device) deafen(s *stream) {
	s.isDeaf = true
	if !s.isWriting {
		s.out.drop()
		d.took(s, int(s.received-s.taken))
	}
	d.shut(s, shutReceive)
}

// settle ends a stream when the guest has closed it and the host has got all.
func (d *Device) settle(s *stream) {
	switch {
	case s.isEnded || s.isWriting || s.out.len() > 0:
	case s.isOff:
		d.end(s)
	case s.guestShut == shutBoth:
		d.reset(s) // the guest waits for that: it forgets the stream then (5.10.6.5)
	}
}

// forget is for when the guest has reset a stream. What it had sent still gets to the host.
func (d *Device) forget(s *stream) {
	delete(d.streams, s.key)
	s.isOff = true
	s.guestShut = shutBoth
	s.rouse()
	if s.isWriting && s.state == stateOpen {
		return // the drainer ends it
	}
	d.end(s)
}

// reset ends a stream and tells the guest.
func (d *Device) reset(s *stream) {
	if !s.isEnded && !s.isOff && s.state != stateWaiting {
		d.sendReset(reset{cid: hostCID, key: s.key, kind: typeStream})
	}
	d.end(s)
}

// end ends a stream, whatever it is doing.
func (d *Device) end(s *stream) {
	if s.isEnded {
		return
	}
	s.isEnded = true
	if d.streams[s.key] == s {
		delete(d.streams, s.key)
	}
	s.rouse()
	s.out.drop()
	if s.conn == nil {
		return // Dial has not returned yet: the one who called it goes on
	}
	// Closing waits until nobody uses it, and who does so may need our lock.
	d.others.Go(func() {
		s.discard()
		_ = s.conn.Close()
		d.mu.Lock()
		d.remove(s)
		d.mu.Unlock()
	})
}

// remove is the last of a stream: another may take its place.
func (d *Device) remove(s *stream) {
	delete(d.all, s)
	if s.bufAlloc == wideCredit {
		d.wide--
	}
}
