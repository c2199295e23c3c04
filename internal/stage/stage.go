// Package stage lets tests hold a process at a named point of its work, and so
// kill it, or another, just there.
//
// It does nothing unless the variable BOXLITE_STAGES names a Unix socket when the
// process starts. Then the process keeps a connection to it. At each stage it sends
// one line, and goes on when it has got a byte, or the other end has closed the
// connection. Whoever listens can only delay what happens, as anybody can who may
// send this process signals.
package stage

import (
	"fmt"
	"net"
	"os"
	"sync"
)

// Variable is the environment variable that names the socket.
const Variable = "BOXLITE_STAGES"

var (
	socket = os.Getenv(Variable)

	mu sync.Mutex // one stage at a time
	// connect is called at the first stage: a shim can't make connections later.
	connect = sync.OnceValue(func() net.Conn {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			return nil
		}
		return conn
	})
)

// Reached says that this process has come to a stage of its work for a box, or
// image. The name begins with who is at work: "start/", "shim/".
//
// The line has the name of the stage, the process ID, and the box. If nobody
// listens, Reached returns at once.
func Reached(name, box string) {
	if socket == "" {
		return
	}
	mu.Lock()
	defer mu.Unlock()
	conn := connect()
	if conn == nil {
		return
	}
	if _, err := fmt.Fprintf(conn, "%s %d %s\n", name, os.Getpid(), box); err == nil {
		_, _ = conn.Read(make([]byte, 1))
	}
}
