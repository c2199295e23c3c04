package main

import (
	"testing"
	"time"

	"github.com/boxlite-go/boxlite"
)

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "30": 30 * time.Second, "30s": 30 * time.Second, "15m": 15 * time.Minute, "2h": 2 * time.Hour, "7d": 7 * 24 * time.Hour,
	} {
		var d durationFlag
		if err := d.Set(text); err != nil || time.Duration(d) != want {
			t.Errorf("%q: got %v, %v", text, time.Duration(d), err)
		}
	}
	for _, text := range []string{"", "s", "-1", "1.5h", "1w", "1hm", "1 h", "99999999999999d", "99999999999999999999"} {
		var d durationFlag
		if err := d.Set(text); err == nil {
			t.Errorf("%q: got %v", text, time.Duration(d))
		}
	}
}

func TestSecurityNamed(t *testing.T) {
	for word, want := range map[string]boxlite.Security{
		"": "", "enable": boxlite.SecurityDefault, "On": boxlite.SecurityDefault, "disabled": boxlite.SecurityOff,
		"disable": boxlite.SecurityOff, "strict": boxlite.SecurityStrict, "off": boxlite.SecurityOff, "other": "other",
	} {
		if got := securityNamed(word); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}
