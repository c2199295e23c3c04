package jail

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// selfName is what the test's executable is called as a VMM.
const selfName = "boxlite-test-vmm"

// envRemove is the path of an executable that removes itself first.
const envRemove = "BOXLITE_TEST_REMOVE"

// beVMM is the VMM of the tests: it says what it can still do before each seal, and after.
func beVMM() int {
	report := os.NewFile(firstFile, "report")
	fmt.Fprintf(report, "argv %q, environment %q\n", os.Args, os.Environ())
	say := func(stage string) {
		memory, err := unix.MemfdCreate("x", unix.MFD_CLOEXEC)
		if err == nil {
			_ = unix.Close(memory)
		}
		fmt.Fprintf(report, "%s: memory %v, terminal %v, setup %v, run %v, socket %v\n", stage, err == nil,
			request(unix.TCGETS), request(setupRequests[1]), request(cpuRequests[0]), works(unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)))
	}
	say("start")
	if err := SealVMM(); err != nil {
		fmt.Fprintln(report, err)
		return 1
	}
	say("running")
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends
		err := SealVCPU()
		say("processor")
		done <- err
	}()
	if err := <-done; err != nil {
		fmt.Fprintln(report, err)
		return 1
	}
	for range 4 { // threads can still be made
		go func() { runtime.LockOSThread(); done <- nil }()
	}
	for range 4 {
		<-done
	}
	runtime.GC()
	say("others")
	return 7
}

// request reports whether a filter lets a request through to a file that has none.
func request(number uint64) bool {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, firstFile, uintptr(number), 0)
	return errno == unix.ENOTTY
}

func works(fd int, err error) bool {
	if err == nil {
		_ = unix.Close(fd)
	}
	return err == nil
}

// TestSelf: a jail runs this very executable, in all its layers and without each, also
// when its file is gone; and what is sealed stays so.
func TestSelf(t *testing.T) {
	for _, without := range without(t) {
		t.Run(without.name, func(t *testing.T) {
			got, err := runSelf(t, without.plan)
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 7 {
				t.Fatalf("it ended with %v: %s", err, got)
			}
			if !strings.Contains(got, fmt.Sprintf("argv %q, environment []\n", []string{selfName, "x"})) {
				t.Errorf("got %s", got)
			}
			if !without.plan.Has(Seccomp) {
				return
			}
			for _, want := range []string{
				"start: memory true, terminal false, setup true, run true, socket false\n",
				"running: memory false, terminal false, setup false, run true, socket false\n",
				"processor: memory false, terminal false, setup false, run true, socket false\n",
				"others: memory false, terminal false, setup false, run true, socket false\n",
			} {
				if !strings.Contains(got, want) {
					t.Errorf("got %s want %s", got, want)
				}
			}
		})
	}
	t.Run("removed", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "program")
		own, err := os.ReadFile(executable)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, own, 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(path, "-test.run=^TestSelf$/^whole$")
		cmd.Args[0] = "removed"
		cmd.Env = append(os.Environ(), envRemove+"="+path)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		if _, err := os.Stat(path); err == nil {
			t.Error("it is still there")
		}
	})
}

// runSelf runs beVMM in a jail.
func runSelf(t *testing.T, p Plan) (string, error) {
	t.Helper()
	report, theirs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer report.Close()
	var stderr bytes.Buffer
	c, err := p.Command(Process{
		Box: "test", Role: RoleVMM, Self: selfName, Args: []string{"x"}, Files: []*os.File{theirs}, Stderr: &stderr,
		Read:   ProgramFiles(executable),
		Limits: Limits{MemoryBytes: 192 << 20, FileBytes: 1 << 20, Threads: 64, CPUs: 2},
	})
	if err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread() // the process dies with the thread
	defer runtime.UnlockOSThread()
	err = c.Start(t.Context())
	theirs.Close()
	if err != nil {
		t.Fatal(err)
	}
	output, err := io.ReadAll(report)
	if err != nil {
		t.Fatal(err)
	}
	err = c.Wait()
	return string(output) + stderr.String(), err
}
