package kvm_test

import (
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/boxlite-go/boxlite/internal/jail"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/monitor"
)

// A test may be several processes: the others are this program again.
func TestMain(m *testing.M) {
	if code, ok := kvm.BeOther(); ok {
		os.Exit(code)
	}
	switch filepath.Base(os.Args[0]) { // as the boxlite package does it
	case monitor.Name:
		os.Exit(monitor.Main())
	case jail.Name:
		os.Exit(jail.Main())
	}
	goleak.VerifyTestMain(m)
}
