//go:build amd64

package kvm_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/boxlite-go/boxlite/internal/jail"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/guesttest"
)

// TestFiltersAreTightened: a VMM that has set up its machine gives up what it needed for
// that, and its processors' threads almost all.
func TestFiltersAreTightened(t *testing.T) {
	plan := plans(t)["in a jail"]
	if !plan.Has(jail.Seccomp) {
		t.Skip("this host has no seccomp")
	}
	m, spec := boot(t, plan, guesttest.Forever, nil)
	// The processors run when they have been paused and go on.
	if err := m.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	own := filters(t, fmt.Sprintf("/proc/%d/task/%d/status", os.Getpid(), os.Getpid()))
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", m.PID()))
	if err != nil {
		t.Fatal(err)
	}
	processors := 0
	for _, task := range tasks {
		// KVM makes a thread of its own when a processor first runs.
		if name, err := os.ReadFile(filepath.Join(filepath.Dir(task), "comm")); err == nil && strings.HasPrefix(string(name), "kvm-") {
			continue
		}
		switch n := filters(t, task) - own; n {
		case 2:
		case 3:
			processors++
		default:
			t.Errorf("%s: %d filters", task, n)
		}
	}
	if processors != spec.CPUs {
		t.Errorf("%d threads have a processor's filter, want %d", processors, spec.CPUs)
	}
}

var filtersLine = regexp.MustCompile(`(?m)^Seccomp_filters:\s*(\d+)$`)

// filters returns how many filters a thread is under.
func filters(t *testing.T, status string) int {
	t.Helper()
	text, err := os.ReadFile(status)
	if err != nil {
		t.Fatal(err)
	}
	match := filtersLine.FindSubmatch(text)
	if match == nil {
		t.Skip("this kernel does not tell")
	}
	n, err := strconv.Atoi(string(match[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
