package kvm

import (
	"net"
	"syscall"
	"testing"

	"github.com/boxlite-go/boxlite/internal/vmm/child"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/control"
)

// A VMM that ends need not have read all requests: what it said last is heard all the same.
func TestTheEndIsHeard(t *testing.T) {
	conn, file, err := child.SocketPair(syscall.SOCK_SEQPACKET)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := net.FileConn(file)
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	ours := conn.(*net.UnixConn)
	if _, err := ours.Write([]byte("never read")); err != nil {
		t.Fatal(err)
	}
	for _, message := range []string{`{"id": 5, "error": "x"}`, `{"id": 0}`, `{"end": {"reason": "reset"}}`, `{"end": {"reason": "failed"}}`} {
		if _, err := theirs.Write([]byte(message)); err != nil {
			t.Fatal(err)
		}
	}
	theirs.Close()
	c := newClient(ours)
	<-c.done
	if end := c.ended(); end == nil || end.Reason != control.EndReset {
		t.Errorf("got %+v", end)
	}
	if err := c.call(t.Context(), control.Request{Op: control.OpPause}, noFile); err != errGone {
		t.Errorf("error %v", err)
	}
	c.close()
}
