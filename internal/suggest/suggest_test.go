package suggest

import (
	"strings"
	"testing"
)

func TestClosest(t *testing.T) {
	names := []string{"web", "worker", "database", "NET_ADMIN", "x"}
	for word, want := range map[string]string{
		"wbe": "web", "we": "web", "webb": "web", "WEB": "web", "wroker": "worker", "databse": "database",
		"net-admin": "NET_ADMIN", "web": "", "": "", "x": "", "y": "", "zzz": "", "cache": "",
		strings.Repeat("w", 1000): "",
	} {
		if got := Closest(word, names); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		from, to string
		want     int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "acb", 1}, {"kitten", "sitting", 3}, {"abc", "abc", 0},
	} {
		if got := distance(c.from, c.to); got != c.want {
			t.Errorf("%q, %q: got %d, want %d", c.from, c.to, got, c.want)
		}
	}
}
