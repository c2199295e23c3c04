package qemu_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/boxlite-go/boxlite/internal/jail"
	"github.com/boxlite-go/boxlite/internal/vmm"
	"github.com/boxlite-go/boxlite/internal/vmm/qemu"
)

// parentVariable turns the test's own program into a parent of a machine.
const parentVariable = "BOXLITE_TEST_PARENT"

// beParent starts the machine that it reads of, prints its process, and waits.
func beParent() error {
	var task struct {
		Capability vmm.Capability
		Spec       vmm.Spec
	}
	in := json.NewDecoder(os.Stdin)
	if err := in.Decode(&task); err != nil {
		return err
	}
	m, err := (&qemu.Engine{Capability: task.Capability}).Start(context.Background(), task.Spec, jail.Plan{})
	if err != nil {
		return err
	}
	fmt.Println(m.PID())
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}
