package qmp_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/boxlite-go/boxlite/internal/vmm/qemu/qmp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const greeting = `{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "Debian"}, "capabilities": ["oob"]}}` + "\n"

// serve plays QEMU: it greets, then answers each line as answer says.
func serve(t *testing.T, greeting string, answer func(line string) string) net.Conn {
	t.Helper()
	ours, theirs := net.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() {
		defer theirs.Close()
		if _, err := io.WriteString(theirs, greeting); err != nil {
			return
		}
		lines := bufio.NewScanner(theirs)
		for lines.Scan() {
			if _, err := io.WriteString(theirs, answer(lines.Text())); err != nil {
				return
			}
		}
	})
	t.Cleanup(wg.Wait)
	t.Cleanup(func() { ours.Close() })
	return ours
}

func TestCommandsAndEvents(t *testing.T) {
	conn := serve(t, greeting, func(line string) string {
		switch {
		case strings.Contains(line, "qmp_capabilities"):
			return `{"return": {}, "id": 1}` + "\n"
		case strings.Contains(line, "query-status"):
			return `{"event": "STOP", "timestamp": {}}` + "\n" +
				`{"return": {"status": "paused"}, "id": 99}` + "\n" +
				`{"return": {"status": "running"}, "id": 2}` + "\n" +
				`{"return": {"status": "twice"}, "id": 2}` + "\n"
		}
		return `{"error": {"class": "CommandNotFound", "desc": "no such command"}, "id": 3}` + "\n"
	})
	events := make(chan qmp.Event, 1)
	c, err := qmp.New(t.Context(), conn, func(e qmp.Event) { events <- e })
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.Version().String(); got != "7.2.22" {
		t.Errorf("version %s", got)
	}
	var status struct{ Status string }
	if err := c.Execute(t.Context(), "query-status", nil, &status); err != nil || status.Status != "running" {
		t.Errorf("status %q, error %v", status.Status, err)
	}
	if e := <-events; e.Name != "STOP" {
		t.Errorf("event %q", e.Name)
	}
	err = c.Execute(t.Context(), "bogus", map[string]int{"a": 1}, nil)
	if refusal, ok := errors.AsType[*qmp.Error](err); !ok || refusal.Class != "CommandNotFound" {
		t.Errorf("error %v, want a refusal", err)
	}
}

func TestConnectionEndsWhileWaiting(t *testing.T) {
	conn := serve(t, greeting, func(line string) string {
		if strings.Contains(line, "qmp_capabilities") {
			return `{"return": {}, "id": 1}` + "\n"
		}
		return "this ends it\n"
	})
	c, err := qmp.New(t.Context(), conn, func(qmp.Event) {})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 2 {
		if err := c.Execute(t.Context(), "query-status", nil, nil); !errors.Is(err, qmp.ErrClosed) {
			t.Errorf("error %v, want ErrClosed", err)
		}
		<-c.Done()
	}
}

func TestNoGreeting(t *testing.T) {
	for name, first := range map[string]string{
		"other object":  `{"return": {}}` + "\n",
		"not JSON":      "hello\n",
		"endless line":  strings.Repeat("x", 2<<20),
		"endless depth": strings.Repeat("[", 500_000) + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := qmp.New(t.Context(), serve(t, first, nil), nil); err == nil {
				t.Error("no error")
			}
		})
	}
	t.Run("nothing", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cause := errors.New("enough")
		cancel(cause)
		if _, err := qmp.New(ctx, serve(t, "", nil), nil); !errors.Is(err, cause) {
			t.Errorf("error %v, want %v", err, cause)
		}
	})
}

// FuzzClient feeds a client whatever a broken QEMU might say.
func FuzzClient(f *testing.F) {
	f.Add(greeting + `{"return": {}, "id": 1}` + "\n")
	f.Add(greeting + `{"event": "SHUTDOWN", "data": {"guest": true}}` + "\n" + `{"error": {}, "id": 1}` + "\n")
	f.Add(`{"QMP": {}}` + "\n" + `{"id": 18446744073709551615}` + "\n" + `null` + "\n")
	f.Fuzz(func(t *testing.T, said string) {
		ours, theirs := net.Pipe()
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = io.Copy(io.Discard, theirs) })
		wg.Go(func() {
			_, _ = io.WriteString(theirs, said)
			_ = theirs.Close()
		})
		c, err := qmp.New(t.Context(), ours, func(e qmp.Event) { _ = fmt.Sprint(e) })
		if err == nil {
			_ = c.Execute(t.Context(), "query-status", nil, new(any))
			_ = c.Close()
		}
		_ = ours.Close()
		wg.Wait()
	})
}
