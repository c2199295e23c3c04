package kvm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/boxlite-go/boxlite/internal/jail"
	"github.com/boxlite-go/boxlite/internal/vmm"
)

// envShim has the test be a shim.
const envShim = "BOXLITE_TEST_KVM_SHIM"

// shimTask is what that shim reads.
type shimTask struct {
	Spec  vmm.Spec
	Plan  jail.Plan
	Reach jail.Reach
}

// beShim starts a machine, seals itself, and does all that a shim does with a machine.
func beShim() error {
	runtime.LockOSThread() // the VMM dies with the thread
	var task shimTask
	if err := json.NewDecoder(os.Stdin).Decode(&task); err != nil {
		return err
	}
	ctx := context.Background()
	m, err := start(ctx, task.Spec, task.Plan, os.DevNull, nil)
	if err != nil {
		return err
	}
	if err := task.Plan.Seal(filepath.Dir(task.Spec.Console), task.Reach); err != nil {
		return err
	}
	conn, err := m.Portal().Dial(ctx, portEcho)
	if err != nil {
		return err
	}
	if _, err := conn.Write([]byte("hello")); err != nil {
		return err
	}
	if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		return err
	}
	if got, err := io.ReadAll(conn); err != nil || string(got) != "hello" {
		return fmt.Errorf("got %q, %w", got, err)
	}
	if err := errors.Join(conn.Close(), m.Pause(ctx), m.Resume(ctx), m.Kill()); err != nil {
		return err
	}
	if o := m.Wait(); o.Reason != vmm.ReasonKilled {
		return fmt.Errorf("it ended: %+v", o)
	}
	return nil
}

// A shim is sealed as soon as the machine has been set up: whatever it does with the
// machine, it does under its own filter.
func TestMachineOfASealedShim(t *testing.T) {
	for name, plan := range jails(t) {
		for _, reach := range []jail.Reach{{}, {Network: true}} {
			t.Run(fmt.Sprintf("jail %s, network %t", name, reach.Network), func(t *testing.T) {
				task, err := json.Marshal(shimTask{machineFor(t, ""), plan, reach})
				if err != nil {
					t.Fatal(err)
				}
				shim := exec.CommandContext(t.Context(), os.Args[0])
				shim.Env = append(os.Environ(), envShim+"=1")
				shim.Stdin = bytes.NewReader(task)
				if out, err := shim.CombinedOutput(); err != nil {
					t.Errorf("%v: %s", err, out)
				}
			})
		}
	}
}
