package stage

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
)

func TestReachedWaitsUntilItIsLetGo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	defer func(old string) { socket = old }(socket)
	socket = path
	on := make(chan struct{})
	go func() {
		Reached("start/spawned", "abc")
		close(on)
	}()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if want := fmt.Sprintf("start/spawned %d abc\n", os.Getpid()); line != want || err != nil {
		t.Errorf("got %q, %v; want %q", line, err, want)
	}
	select {
	case <-on:
		t.Error("it went on by itself")
	default:
	}
	conn.Close()
	<-on
}

func TestReachedGoesOnWhenNobodyListens(t *testing.T) {
	defer func(old string) { socket = old }(socket)
	for _, path := range []string{"", filepath.Join(t.TempDir(), "none")} {
		socket = path
		Reached("start/spawned", "abc")
	}
}
