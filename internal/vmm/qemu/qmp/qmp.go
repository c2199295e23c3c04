// Package qmp speaks the QEMU Machine Protocol: JSON objects, one a line, by
// which QEMU is asked things and tells what happens to its machine.
//
// [New] greets QEMU over a connection and returns a [Client]. Events go to the
// function given to New; [Client.Execute] runs a command.
package qmp

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// maxLine bounds one message. QEMU's longest answers, to queries about its own
// schema, are shorter.
const maxLine = 1 << 20

// ErrClosed means that the connection ended.
var ErrClosed = errors.New("qmp: connection closed")

// Event is something that happened to the machine.
type Event struct {
	// Name is the event's name, such as "SHUTDOWN".
	Name string
	// Data is the event's own object, or nil.
	Data json.RawMessage
}

// Error is QEMU's refusal of a command.
type Error struct {
	Class string `json:"class"`
	Desc  string `json:"desc"`
}

// Error returns QEMU's description.
func (e *Error) Error() string { return e.Desc }

// Version is the version of a QEMU.
type Version struct {
	Major int `json:"major"`
	Minor int `json:"minor"`
	Micro int `json:"micro"`
}

// String returns the version as in "7.2.0".
func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Micro) }

// Client is one connection to QEMU. Its methods may be called concurrently.
type Client struct {
	conn    net.Conn
	version Version
	onEvent func(Event)

	mu      sync.Mutex // guards what follows, and writing
	lastID  uint64
	waiting map[uint64]chan message
	ended   bool

	done chan struct{}
}

// message is anything that QEMU sends.
type message struct {
	Greeting *struct {
		Version struct {
			QEMU Version `json:"qemu"`
		} `json:"version"`
	} `json:"QMP"`
	ID     *uint64         `json:"id"`
	Return json.RawMessage `json:"return"`
	Error  *Error          `json:"error"`
	Event  string          `json:"event"`
	Data   json.RawMessage `json:"data"`
}

// New waits for QEMU's greeting on conn and makes it ready for commands. The
// Client owns conn, whether New fails or not. onEvent is called for each event,
// one after another, and holds up all else.
func New(ctx context.Context, conn net.Conn, onEvent func(Event)) (*Client, error) {
	c := &Client{
		conn: conn, onEvent: onEvent,
		waiting: make(map[uint64]chan message), done: make(chan struct{}),
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	lines := newLines(conn)
	greeting, err := next(lines)
	if err == nil && greeting.Greeting == nil {
		err = errors.New("qmp: no greeting")
	}
	if err != nil {
		_ = conn.Close()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
	c.version = greeting.Greeting.Version.QEMU
	go c.read(lines)
	if err := c.Execute(ctx, "qmp_capabilities", nil, nil); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// Version returns the version of QEMU.
func (c *Client) Version() Version { return c.version }

// Done is closed when the connection has ended and the last event was delivered.
func (c *Client) Done() <-chan struct{} { return c.done }

// Close ends the connection and waits until no event is being delivered. It
// must not be called from onEvent.
func (c *Client) Close() error {
	err := c.conn.Close()
	<-c.done
	return err
}

// Execute runs a command. Its answer is stored in result, unless that is nil. A
// refusal is an *Error.
func (c *Client) Execute(ctx context.Context, command string, arguments, result any) error {
	answer := make(chan message, 1)
	id, err := c.send(command, arguments, answer)
	if err != nil {
		return fmt.Errorf("qmp: %s: %w", command, err)
	}
	defer c.forget(id)
	select {
	case m, ok := <-answer:
		switch {
		case !ok:
			return fmt.Errorf("qmp: %s: %w", command, ErrClosed)
		case m.Error != nil:
			return fmt.Errorf("qmp: %s: %w", command, m.Error)
		case result != nil:
			return json.Unmarshal(m.Return, result)
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *Client) send(command string, arguments any, answer chan message) (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return 0, ErrClosed
	}
	c.lastID++
	line, err := json.Marshal(struct {
		Execute   string `json:"execute"`
		Arguments any    `json:"arguments,omitempty"`
		ID        uint64 `json:"id"`
	}{command, arguments, c.lastID})
	if err != nil {
		return 0, err
	}
	if _, err := c.conn.Write(append(line, '\n')); err != nil {
		return 0, err
	}
	c.waiting[c.lastID] = answer
	return c.lastID, nil
}

func (c *Client) forget(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, id)
}

// read delivers answers and events until the connection ends.
func (c *Client) read(lines *bufio.Scanner) {
	defer close(c.done)
	defer c.end()
	for {
		m, err := next(lines)
		if err != nil {
			return
		}
		switch {
		case m.Event != "":
			c.onEvent(Event{m.Event, m.Data})
		case m.ID != nil:
			c.deliver(m)
		}
	}
}

func (c *Client) deliver(m message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if answer := c.waiting[*m.ID]; answer != nil {
		delete(c.waiting, *m.ID) // so that a second answer is dropped
		answer <- m
	}
}

// end lets all who wait for an answer know that none comes.
func (c *Client) end() {
	_ = c.conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	for _, answer := range c.waiting {
		close(answer)
	}
	clear(c.waiting)
}

func newLines(r io.Reader) *bufio.Scanner {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4096), maxLine)
	return lines
}

// next reads one message.
func next(lines *bufio.Scanner) (message, error) {
	var m message
	if !lines.Scan() {
		if err := lines.Err(); err != nil {
			return m, fmt.Errorf("qmp: %w", err)
		}
		return m, ErrClosed
	}
	if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
		return m, fmt.Errorf("qmp: %w", err)
	}
	return m, nil
}
