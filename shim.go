package boxlite

import (
	"os"
	"path/filepath"

	"github.com/boxlite-go/boxlite/internal/jail"
	"github.com/boxlite-go/boxlite/internal/shim"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/monitor"
)

// init turns the program into what it was started as, if that is a part of BoxLite.
// Nothing of the program itself runs then.
func init() {
	if len(os.Args) == 0 {
		return
	}
	switch filepath.Base(os.Args[0]) {
	case shim.Name:
		os.Exit(shim.Main())
	case jail.Name:
		os.Exit(jail.Main())
	case monitor.Name:
		os.Exit(monitor.Main())
	}
}
