package shim

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestParseUsage(t *testing.T) {
	stat := "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 7 7 20 0 1 0 1234 1000000 25 " + strings.Repeat("0 ", 27)
	u, err := parseUsage([]byte(stat))
	if err != nil || u.CPU != 2*time.Second || u.MemoryBytes != 25*uint64(os.Getpagesize()) {
		t.Errorf("got %+v, %v", u, err)
	}
	for _, wrong := range []string{"", "42 (a) S 1", strings.Replace(stat, "150", "x", 1)} {
		if u, err := parseUsage([]byte(wrong)); err == nil {
			t.Errorf("%q gives %+v", wrong, u)
		}
	}
}

func TestUsageOfThisProcess(t *testing.T) {
	u, err := UsageOf(os.Getpid())
	if err != nil || u.PID != os.Getpid() || u.MemoryBytes < 1<<20 {
		t.Errorf("got %+v, %v", u, err)
	}
	if u, err := UsageOf(1 << 30); err == nil {
		t.Errorf("a process that there can't be uses %+v", u)
	}
}
