//go:build linux

package network

import (
	"context"
	"syscall"
	"testing"

	"github.com/boxlite-go/boxlite"
	"github.com/boxlite-go/boxlite/internal/shim"
	"github.com/boxlite-go/boxlite/test/leak"
)

// TestKilled kills the shim of a box with everything: nothing is left.
func TestKilled(t *testing.T) {
	rt := openRuntime(t)
	box := newBox(t, rt, boxlite.BoxSpec{
		Name: "killed", Network: boxlite.Network{Join: []string{"shared"}}, Ports: []boxlite.Port{{GuestPort: 80, HostPort: 8082}},
		Secrets: []boxlite.Secret{{Name: "API_KEY", Value: secretValue, Hosts: []string{"allowed.example"}}},
	})
	install(t, box, "hostile")
	reach(t, box, true, "get", "http://other.example/")
	run(t, box, "sync") // for the next start
	info, err := box.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pid, err := shim.PID(info.HostDir)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_, _ = box.Wait(t.Context()) // it tells that nobody knows how it ended
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if left, err := (leak.Place{Home: info.HostDir, Boxes: []string{box.ID()}}).Processes(ctx); err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
	mustBeFree(t, "127.0.0.1:8082")
	if err := box.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	reach(t, box, true, "get", "http://other.example/")
}

// TestPaused: what is connected survives a pause.
func TestPaused(t *testing.T) {
	rt := openRuntime(t)
	box := newBox(t, rt, boxlite.BoxSpec{Ports: []boxlite.Port{{GuestPort: 8000}}})
	install(t, box, "hostile")
	serveInBox(t, box, "8000")
	kept := holdConnection(t, box, allowedIP+":7", "data")
	if err := box.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := box.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := greeting("tcp", published(t, box, 8000, "tcp")); err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	reach(t, box, true, "get", "http://other.example/")
	kept.end(t)
	kept.line(t)
}

// TestDetached: a box that outlives the program that started it keeps its network, and
// another program can change it.
func TestDetached(t *testing.T) {
	needWorld(t)
	home := t.TempDir()
	first, err := boxlite.Open(boxlite.Options{Home: home})
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close() // if it fails early
	box, err := first.Create(t.Context(), boxlite.BoxSpec{
		Name: "server", Detach: true, Network: boxlite.Network{Allow: []string{"allowed.example"}}, Ports: []boxlite.Port{{GuestPort: 8000}},
	})
	if err != nil {
		t.Fatal(err)
	}
	rt := openHome(t, home)
	removeAtEnd(t, rt, box)
	if err := box.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	same, err := rt.Get(t.Context(), "server")
	if err != nil {
		t.Fatal(err)
	}
	install(t, same, "hostile")
	serveInBox(t, same, "8000")
	if got, err := greeting("tcp", published(t, same, 8000, "tcp")); err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	reach(t, same, true, "get", "http://allowed.example/")
	reach(t, same, false, "get", "http://other.example/")
	if err := same.SetNetworkPolicy(t.Context(), boxlite.NetworkPolicy{Allow: []string{"other.example"}}); err != nil {
		t.Fatal(err)
	}
	reach(t, same, false, "get", "http://allowed.example/")
	reach(t, same, true, "get", "http://other.example/")
	mustDeny(t, rt, same, "dns allowed.example")
}
