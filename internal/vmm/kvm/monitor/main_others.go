//go:build !linux || !amd64

package monitor

import (
	"fmt"
	"os"
)

// Main says that there is no such process here.
func Main() int {
	fmt.Fprintln(os.Stderr, Name+" is not available for this kind of computer")
	return 2
}
