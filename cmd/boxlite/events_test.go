package main

import (
	"bufio"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/boxlite-go/boxlite"
)

// By default it goes on with what happens, until Ctrl-C.
func TestEventsFollow(t *testing.T) {
	rt, err := boxlite.Open(boxlite.Options{Home: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer rt.Close()
	if _, err := rt.Create(t.Context(), boxlite.BoxSpec{Name: "first"}); err != nil {
		t.Fatal(err)
	}
	out, stdout := io.Pipe()
	var stderr strings.Builder
	code := make(chan int)
	go func() {
		code <- run([]string{"--home", rt.Home(), "events", "--since", "1h"}, strings.NewReader(""), stdout, &stderr)
	}()
	lines := bufio.NewReader(out)
	for _, name := range []string{"first", "second"} {
		if line, err := lines.ReadString('\n'); err != nil || !strings.Contains(line, "name="+name) {
			t.Errorf("got %q, %v; want %s", line, err, name)
		}
		if name == "first" {
			if _, err := rt.Create(t.Context(), boxlite.BoxSpec{Name: "second"}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if got := <-code; got != exitInterrupted || stderr.String() != "error: read the audit log: interrupted\n" {
		t.Errorf("exit code %d, %q", got, &stderr)
	}
}

func TestParseTime(t *testing.T) {
	zone := time.FixedZone("there", 3600)
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, zone)
	for text, want := range map[string]time.Time{
		"":                              {},
		"10m":                           now.Add(-10 * time.Minute),
		"0s":                            now,
		"1h30m":                         now.Add(-90 * time.Minute),
		"2026-01-30":                    time.Date(2026, 1, 30, 0, 0, 0, 0, zone),
		"2026-01-30T10:11":              time.Date(2026, 1, 30, 10, 11, 0, 0, zone),
		"2026-01-30T10:11:12":           time.Date(2026, 1, 30, 10, 11, 12, 0, zone),
		"2026-01-30T10:11:12.000000013": time.Date(2026, 1, 30, 10, 11, 12, 13, zone),
		"2026-01-30T10:11:12Z":          time.Date(2026, 1, 30, 10, 11, 12, 0, time.UTC),
		"1136073600":                    time.Unix(1136073600, 0),
		"1136073600.000000001":          time.Unix(1136073600, 1),
		"1136073600.5":                  time.Unix(1136073600, 5e8),
	} {
		var got time.Time
		if err := parseTime("since", text, now, &got); err != nil || !got.Equal(want) {
			t.Errorf("%q: got %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"yesterday", "10 m", "2026-13-01", "1.-5", "1.0000000001", "1e3", "."} {
		var got time.Time
		if err := parseTime("since", text, now, &got); err == nil {
			t.Errorf("%q: got %v", text, got)
		}
	}
}

func TestEventLine(t *testing.T) {
	var out strings.Builder
	err := writeEventLine(&out, boxlite.Event{
		Time: time.Date(2026, 1, 31, 12, 0, 0, 5, time.UTC).Local(), Type: boxlite.EventStopped, Box: "0123456789ab", Name: "web",
		PID: 7, Image: "docker.io/library/nginx", Error: "line\nbreak\x1b", Exit: &boxlite.Exit{Reason: "exited"},
	})
	if err != nil || strings.Count(out.String(), "\n") != 1 || !strings.HasSuffix(out.String(),
		" stopped 0123456789ab (name=web, image=nginx, reason=exited, exitCode=0, error=line?break?, pid=7)\n") {
		t.Errorf("got %q, %v", &out, err)
	}
}
