package faults

import (
	"bufio"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// listener hears of every stage that a creator and its shims come to, and holds
// the first process that comes to a certain one.
type listener struct {
	path string
	// held is sent the process that is held.
	held chan held

	mu   sync.Mutex
	hold string
	seen []string
}

// held is a process that waits at a stage.
type held struct {
	pid  int
	conn net.Conn
}

// release lets the process go on.
func (h held) release() { _, _ = h.conn.Write([]byte{0}) }

func listen(t *testing.T, hold string) *listener {
	t.Helper()
	dir, err := os.MkdirTemp("", "s") // short: it is the address of a socket
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{path: filepath.Join(dir, "s"), held: make(chan held, 1), hold: hold}
	socket, err := net.Listen("unix", l.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = socket.Close()
		_ = os.RemoveAll(dir)
	})
	go func() {
		for {
			conn, err := socket.Accept()
			if err != nil {
				return
			}
			go l.hear(conn)
		}
	}()
	return l
}

// hear takes announcements of one process: a stage, a process ID, a box.
func (l *listener) hear(conn net.Conn) {
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) < 2 {
			break
		}
		l.mu.Lock()
		l.seen = append(l.seen, words[0])
		match := words[0] == l.hold
		if match {
			l.hold = ""
		}
		l.mu.Unlock()
		h := held{conn: conn}
		var err error
		if h.pid, err = strconv.Atoi(words[1]); err != nil {
			break
		}
		if match {
			l.held <- h
			continue
		}
		h.release()
	}
	_ = conn.Close()
}

// await waits until a process is held.
func (l *listener) await(t *testing.T, c *creator) held {
	t.Helper()
	select {
	case h := <-l.held:
		return h
	case <-c.ended:
		l.mu.Lock()
		defer l.mu.Unlock()
		t.Fatalf("nobody came to the stage, but to %q; the creator said: %s", l.seen, &c.output)
	case <-patience(t).Done():
		t.Fatal("nobody comes to the stage")
	}
	return held{}
}
