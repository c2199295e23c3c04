// Package entry turns the program into one of BoxLite's own processes, if it was started as
// one: into a jail that is to be built around a program, or into a virtual machine monitor.
//
// Each start of a box goes through both, so they must not wait until gRPC, the network's
// stack and everything else in the program is initialised. Go initialises a package as soon
// as those are that it imports, in the order of paths where there is a choice. Thus this
// package, which imports little, has its turn before theirs; a test compares that.
package entry

import (
	"os"
	"path/filepath"

	"github.com/boxlite-go/boxlite/internal/jail"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/monitor"
)

// init does not return in such a process: nothing of the program itself runs then.
func init() {
	if len(os.Args) == 0 {
		return
	}
	switch filepath.Base(os.Args[0]) {
	case jail.Name:
		os.Exit(jail.Main())
	case monitor.Name:
		os.Exit(monitor.Main())
	}
}
