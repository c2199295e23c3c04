package qemu_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMachineDiesWithItsParent guards what kata-containers#2198 is about: no
// QEMU is left behind by a parent that was killed.
func TestMachineDiesWithItsParent(t *testing.T) {
	engine, spec := guest(t)
	task, err := json.Marshal(map[string]any{"Capability": engine.Capability, "Spec": spec})
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.CommandContext(t.Context(), os.Args[0])
	parent.Env = append(os.Environ(), parentVariable+"=1")
	parent.Stderr = os.Stderr
	stdin, err := parent.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := stdin.Write(task); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscan(stdout, &pid); err != nil {
		t.Fatalf("no process ID: %v", err)
	}
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatalf("QEMU runs as process %d: %v", pid, err)
	}
	defer unix.Close(process)
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := parent.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the parent ended with %v", err)
	}
	// A pidfd becomes readable when its process ends.
	ends := []unix.PollFd{{Fd: int32(process), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(ends, 30_000)
		if err == unix.EINTR {
			continue
		}
		if n != 1 || err != nil {
			t.Errorf("QEMU, process %d, is left: %d, %v", pid, n, err)
		}
		return
	}
}
