// Hostile is run in the place of a VMM or a shim, and tries to get out of its jail. It
// prints the names of the attacks that succeed to descriptor 3, a line each, and then
// "done".
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"github.com/boxlite-go/boxlite/internal/jail"
)

// task says whom to attack.
type task struct {
	// Shim, if it is not nil, is the plan with which to seal this process first.
	Shim *jail.Plan
	// Reach is what that shim may reach.
	Reach jail.Reach
	// Dir is the box's folder.
	Dir string
	// Only names the attacks to try; empty means all that a process survives.
	Only []string

	UserFile, OtherDisk, OtherImage, Home string
	Socket, Abstract                      string
	TCP, UDP                              int
	Process                               int
	// Limits are those of the jail, and Forbidden the numbers of the system calls
	// that it should not let through.
	Limits    jail.Limits
	Forbidden []uintptr
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "idle" {
		select {}
	}
	report := os.NewFile(3, "report")
	var t task
	if err := json.Unmarshal([]byte(os.Args[1]), &t); err != nil {
		fmt.Fprintln(report, err)
		os.Exit(2)
	}
	if t.Shim != nil {
		if err := t.Shim.Seal(t.Dir, t.Reach); err != nil {
			fmt.Fprintln(report, err)
			os.Exit(2)
		}
	}
	for _, a := range attacks {
		if len(t.Only) > 0 && !slices.Contains(t.Only, a.name) || len(t.Only) == 0 && a.lethal {
			continue
		}
		if a.try(t) == nil {
			fmt.Fprintln(report, a.name)
		}
	}
	fmt.Fprintln(report, "done")
}
