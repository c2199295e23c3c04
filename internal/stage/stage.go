// Package stage lets tests hold a process at a named point of its work, and so
// kill it, or another, just there.
//
// It does nothing unless the variable BOXLITE_STAGES names a Unix socket when the
// process starts. Then a process that reaches a stage connects, sends one line, and
// goes on when the other end has closed the connection. Whoever listens can only
// delay what happens, as anybody can who may send this process signals.
package stage

import (
	"fmt"
	"io"
	"net"
	"os"
)

// Variable is the environment variable that names the socket.
const Variable = "BOXLITE_STAGES"

var socket = os.Getenv(Variable)

// Reached says that this process has come to a stage of its work for a box, or
// image. The name begins with who is at work: "start/", "shim/".
//
// The line has the name of the stage, the process ID, and the box. If nobody
// listens, Reached returns at once.
func Reached(name, box string) {
	if socket == "" {
		return
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "%s %d %s\n", name, os.Getpid(), box); err == nil {
		_, _ = io.Copy(io.Discard, conn)
	}
}
