package boxlite

import (
	"os"
	"path/filepath"

	_ "github.com/boxlite-go/boxlite/internal/entry" // has had its turn by now
	"github.com/boxlite-go/boxlite/internal/shim"
)

// init turns the program into a shim, if it was started as one. Nothing of the program
// itself runs then.
func init() {
	if len(os.Args) > 0 && filepath.Base(os.Args[0]) == shim.Name {
		os.Exit(shim.Main())
	}
}
