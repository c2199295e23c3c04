package main

import (
	"strings"
	"testing"
	"time"

	"github.com/boxlite-go/boxlite"
)

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "a moment", 0: "a moment", time.Second: "1 second", 59 * time.Second: "59 seconds",
		time.Minute: "1 minute", 3 * time.Hour: "3 hours", 25 * time.Hour: "1 day", 15 * 24 * time.Hour: "2 weeks",
		400 * 24 * time.Hour: "1 year",
	} {
		if got := span(d); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
}

func TestByteCount(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1.0 KB", 2_437_120: "2.4 MB", 160e6: "160 MB", 3e12: "3.0 TB", 5e15: "5000 TB",
	} {
		if got := byteCount(n); got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
}

func TestShortImage(t *testing.T) {
	const digest = "sha256:73372c8fc4b0e647cf932f4d9bcd58f8f7bad3c75b1078aaa2b4c00ea852aef0"
	for ref, want := range map[string]string{
		"docker.io/library/alpine:3.20": "alpine:3.20", "docker.io/owner/name:1": "owner/name:1",
		"ghcr.io/a/b:c": "ghcr.io/a/b:c", digest: "73372c8fc4b0", "a@" + digest: "a@73372c8fc4b0", "boxlite/base": "boxlite/base",
	} {
		if got := shortImage(ref); got != want {
			t.Errorf("%q: got %q, want %q", ref, got, want)
		}
	}
}

func TestStatusText(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	before := now.Add(-2 * time.Minute)
	for want, b := range map[string]boxlite.BoxInfo{
		"configured":            {Status: boxlite.StatusConfigured},
		"running for 2 minutes": {Status: boxlite.StatusRunning, StartedAt: &before},
		"running (unhealthy) for 2 minutes": {
			Status: boxlite.StatusRunning, StartedAt: &before, Health: boxlite.Health{Status: boxlite.HealthUnhealthy},
		},
		"running (health: starting)":    {Status: boxlite.StatusRunning, Health: boxlite.Health{Status: boxlite.HealthStarting}},
		"paused":                        {Status: boxlite.StatusPaused, Health: boxlite.Health{Status: boxlite.HealthHealthy}},
		"stopped (3) 2 minutes ago":     {Status: boxlite.StatusStopped, FinishedAt: &before, Exit: &boxlite.Exit{Code: 3}},
		"stopped 2 minutes ago":         {Status: boxlite.StatusStopped, FinishedAt: &before, Exit: &boxlite.Exit{Reason: "stopped", Code: -1}},
		"stopped (panic) 2 minutes ago": {Status: boxlite.StatusStopped, FinishedAt: &before, Exit: &boxlite.Exit{Reason: "panic", Code: -1}, Error: "x"},
		"failed":                        {Status: boxlite.StatusFailed},
		"unknown (damaged record)":      {Status: boxlite.StatusUnknown},
	} {
		if got := statusText(b, now); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestTable(t *testing.T) {
	var out strings.Builder
	if err := (table{{"A", "LONG"}, {"", "x\x1b[31m\ny"}, {"abc", "z"}}).write(&out); err != nil {
		t.Fatal(err)
	}
	const want = "A     LONG\n-     x?[31m?y\nabc   z\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestShortCommand(t *testing.T) {
	for want, b := range map[string]boxlite.BoxInfo{
		"":                            {},
		"sh -c echo hi":               {Cmd: []string{"sh", "-c", "echo\n hi"}},
		"/entry a":                    {Entrypoint: []string{"/entry"}, Cmd: []string{"a"}},
		"of the run":                  {Args: []string{"of", "the run"}, Cmd: []string{"asked"}},
		strings.Repeat("ä", 29) + "…": {Args: []string{strings.Repeat("ä", 31)}},
	} {
		if got := shorten(wholeCommand(b)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
