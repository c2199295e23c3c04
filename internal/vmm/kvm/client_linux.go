package kvm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/control"
)

// client asks the VMM. Its methods may be called concurrently.
type client struct {
	conn    *net.UnixConn
	sending chan struct{} // holds one item while a message is sent

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]chan control.Answer
	end     *control.End // how the machine has ended, once the VMM has said it

	done chan struct{} // closed when nothing more comes
}

// newClient takes our end of the control connection.
func newClient(conn *net.UnixConn) *client {
	c := &client{
		conn: conn, sending: make(chan struct{}, 1), waiting: make(map[uint64]chan control.Answer),
		done: make(chan struct{}),
	}
	go c.receive()
	return c
}

// errGone means that the VMM has closed the connection.
var errGone = errors.New("the VMM has ended")

// refusal is what the VMM says if it doesn't do what it was asked.
type refusal string

func (r refusal) Error() string { return string(r) }

// noFile goes with requests that need none.
const noFile = -1

// call asks, with a descriptor or [noFile], and waits for the answer.
func (c *client) call(ctx context.Context, r control.Request, fd int) error {
	answer := make(chan control.Answer, 1)
	c.mu.Lock()
	c.last++
	r.ID = c.last
	c.waiting[r.ID] = answer
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.waiting, r.ID)
	}()
	if err := c.send(ctx, r, fd); err != nil {
		return err
	}
	select {
	case a := <-answer:
		return refused(a)
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.done:
	}
	select {
	case a := <-answer: // the last thing it said
		return refused(a)
	default:
		return errGone
	}
}

func refused(a control.Answer) error {
	if a.Error == "" {
		return nil
	}
	return refusal(oneLine(a.Error))
}

// send sends one message. A VMM that doesn't receive any holds it up until ctx ends.
func (c *client) send(ctx context.Context, r control.Request, fd int) error {
	message, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if len(message) > control.MaxMessage {
		return fmt.Errorf("a message of %d bytes is too long", len(message))
	}
	var rights []byte
	if fd != noFile {
		rights = unix.UnixRights(fd)
	}
	select {
	case c.sending <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.done:
		return errGone
	}
	defer func() { <-c.sending }()
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(interrupted)
		_ = c.conn.SetWriteDeadline(time.Unix(1, 0))
	})
	// A message of this kind of socket is sent as a whole, or not at all.
	_, _, err = c.conn.WriteMsgUnix(message, rights, nil)
	if !stop() {
		<-interrupted
		_ = c.conn.SetWriteDeadline(time.Time{})
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, unix.EPIPE), errors.Is(err, unix.ECONNRESET), errors.Is(err, net.ErrClosed):
		return errGone
	}
	return err
}

// receive takes answers until the VMM has gone. Descriptors that it might send are not
// taken: there is no room for them in Read.
func (c *client) receive() {
	defer close(c.done)
	message := make([]byte, control.MaxMessage)
	reset := false
	for {
		n, err := c.conn.Read(message)
		if errors.Is(err, unix.ECONNRESET) && !reset {
			// The VMM has ended before it had read everything. What it said is there yet.
			reset = true
			continue
		}
		if err != nil {
			return
		}
		var a control.Answer
		if json.Unmarshal(message[:n], &a) != nil {
			continue // who waits for it will do so until the VMM ends
		}
		c.mu.Lock()
		if a.ID == 0 && c.end == nil {
			c.end = a.End
		}
		if answer := c.waiting[a.ID]; answer != nil {
			delete(c.waiting, a.ID)
			answer <- a
		}
		c.mu.Unlock()
	}
}

// ended returns what the VMM has said of the machine's end, if anything.
func (c *client) ended() *control.End {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.end
}

// close ends the connection, and with it the VMM.
func (c *client) close() {
	_ = c.conn.Close()
	<-c.done
}
