package portal

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/hashicorp/yamux"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// greeting is what each side sends first: a magic word and its version.
const (
	greetingMagic = 0x424f584c // "BOXL"
	greetingSize  = 8
)

// Session is one end of a portal. Its methods may be called concurrently.
type Session struct {
	mux *yamux.Session

	mu        sync.Mutex
	listeners map[uint32]*listener

	accepting sync.WaitGroup
}

// Client greets the guest over conn and returns the host's end. It waits until
// the guest answers or ctx ends; then conn is closed. The Session owns conn.
func Client(ctx context.Context, conn io.ReadWriteCloser) (*Session, error) {
	if err := greet(ctx, conn, false); err != nil {
		_ = conn.Close()
		return nil, err
	}
	mux, err := yamux.Client(&frameWriter{ReadWriteCloser: conn}, muxConfig())
	if err != nil {
		_ = conn.Close()
		return nil, &protocol.Error{Kind: protocol.KindPortal, Op: "open portal", Err: err}
	}
	return &Session{mux: mux}, nil
}

// Server greets the host over conn and returns the guest's end, which accepts
// streams to ports at once: the host may open one as soon as it is greeted. The
// Session owns conn.
func Server(ctx context.Context, conn io.ReadWriteCloser, ports ...uint32) (*Session, error) {
	// Linux takes a virtio-serial port whose other end it has not seen yet for one that
	// has ended: reading from it says so. Writing waits.
	if err := greet(ctx, conn, true); err != nil {
		_ = conn.Close()
		return nil, err
	}
	mux, err := yamux.Server(&frameWriter{ReadWriteCloser: conn}, muxConfig())
	if err != nil {
		_ = conn.Close()
		return nil, &protocol.Error{Kind: protocol.KindPortal, Op: "open portal", Err: err}
	}
	s := &Session{mux: mux, listeners: make(map[uint32]*listener)}
	for _, port := range ports {
		s.listeners[port] = &listener{session: s, port: port, streams: make(chan net.Conn), done: make(chan struct{})}
	}
	s.accepting.Go(s.accept)
	return s, nil
}

// muxConfig turns off what would take a paused machine for a dead one.
func muxConfig() *yamux.Config {
	c := yamux.DefaultConfig()
	c.EnableKeepAlive = false
	c.StreamOpenTimeout = 0
	c.StreamCloseTimeout = 0
	c.ConnectionWriteTimeout = 1 << 62
	c.AcceptBacklog = 1024
	c.MaxStreamWindowSize = 1 << 20
	c.LogOutput = io.Discard
	return c
}

// Greet exchanges greetings, and nothing more: after it, both ends know that the other
// is there and of the same version. If ctx ends first it closes conn, which ends the
// exchange.
func Greet(ctx context.Context, conn io.ReadWriteCloser) error { return greet(ctx, conn, false) }

// greet exchanges greetings. If ctx ends first it closes conn, which ends the
// exchange. If writeFirst is set, nothing is read before our greeting was taken; the
// other end must not do the same.
func greet(ctx context.Context, conn io.ReadWriteCloser, writeFirst bool) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	var buf [greetingSize]byte
	binary.BigEndian.PutUint32(buf[:], greetingMagic)
	binary.BigEndian.PutUint32(buf[4:], protocol.Version)
	sent := make(chan error, 1)
	go func(greeting [greetingSize]byte) {
		_, err := conn.Write(greeting[:])
		sent <- err
	}(buf)
	var err error
	if writeFirst {
		err = <-sent
		sent <- err
	}
	if err == nil {
		_, err = io.ReadFull(conn, buf[:])
	}
	if err != nil {
		_ = conn.Close() // so that the write ends
	}
	if e := <-sent; err == nil {
		err = e
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return &protocol.Error{Kind: protocol.KindPortal, Op: "greet the other end of the portal", Err: err}
	}
	if binary.BigEndian.Uint32(buf[:]) != greetingMagic {
		return &protocol.Error{
			Kind: protocol.KindPortal, Op: "greet the other end of the portal",
			Err: fmt.Errorf("it answers %q, which is no greeting", buf[:4]),
		}
	}
	if v := binary.BigEndian.Uint32(buf[4:]); v != protocol.Version {
		return &protocol.Error{
			Kind: protocol.KindPortal, Op: "greet the other end of the portal",
			Err:  fmt.Errorf("it speaks version %d of the protocol, this end %d", v, protocol.Version),
			Hint: "stop the box and start it again, so that both ends are of one version",
		}
	}
	return nil
}

// Dial opens a stream to a port on which the other end listens. Nothing tells
// whether it does: a stream to any other port ends at once.
func (s *Session) Dial(ctx context.Context, port uint32) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	stream, err := s.mux.OpenStream()
	if err == nil {
		err = writePort(stream, port)
	}
	if err != nil {
		return nil, &protocol.Error{
			Kind: protocol.KindPortal, Op: fmt.Sprintf("open a stream to port %d of the guest", port), Err: err,
		}
	}
	return stream, nil
}

// Listener returns what accepts the streams that the other end opens to port, one
// of those given to [Server]. For any other it is nil.
func (s *Session) Listener(port uint32) net.Listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.listeners[port]; l != nil {
		return l
	}
	return nil
}

// Done is closed when the session has ended, by Close or because the other end
// is gone.
func (s *Session) Done() <-chan struct{} { return s.mux.CloseChan() }

// Close ends the session and all its streams.
func (s *Session) Close() error {
	err := s.mux.Close()
	s.accepting.Wait()
	return err
}

func (s *Session) accept() {
	var naming sync.WaitGroup
	for {
		stream, err := s.mux.AcceptStream()
		if err != nil {
			break
		}
		naming.Go(func() { s.deliver(stream) })
	}
	s.mu.Lock()
	for _, l := range s.listeners {
		l.close()
	}
	s.mu.Unlock()
	naming.Wait()
}

// deliver gives a new stream to the listener of the port it names.
func (s *Session) deliver(stream net.Conn) {
	// No time limit: the host is trusted, and how slow the machine is, nobody knows.
	port, err := readPort(stream)
	if err != nil {
		_ = stream.Close()
		return
	}
	s.mu.Lock()
	l := s.listeners[port]
	s.mu.Unlock()
	if l == nil {
		_ = stream.Close()
		return
	}
	select {
	case l.streams <- stream:
	case <-l.done:
		_ = stream.Close()
	}
}

func writePort(w io.Writer, port uint32) error {
	var header [4]byte
	binary.BigEndian.PutUint32(header[:], port)
	_, err := w.Write(header[:])
	return err
}

func readPort(r io.Reader) (uint32, error) {
	var header [4]byte
	_, err := io.ReadFull(r, header[:])
	return binary.BigEndian.Uint32(header[:]), err
}
