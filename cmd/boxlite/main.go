// Command boxlite runs commands in boxes: micro-VMs made from OCI images. Its
// commands mean what docker's of the same name mean.
//
// Each group of commands has a file; root.go joins them and says what exit code
// and message an error becomes.
package main

import (
	"io"
	"os"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run is the whole command: it returns the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := newApp(stdin, stdout, stderr)
	defer a.stopSignals()
	root := a.rootCommand()
	root.SetArgs(args)
	return a.report(root.ExecuteContextC(a.ctx))
}
