//go:build amd64

package kvm_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/boxlite-go/boxlite/internal/jail"
	"github.com/boxlite-go/boxlite/internal/vmm"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/guesttest"
)

// plans are the whole jail, and none.
func plans(t *testing.T) map[string]jail.Plan {
	t.Helper()
	s, err := jail.Probe(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	whole, err := s.Plan(jail.Default, fmt.Sprintf("kvmtest%d", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	return map[string]jail.Plan{"in a jail": whole, "without a jail": {}}
}

// boot starts a machine with a tiny guest, and sees to it that nothing is left of it.
func boot(t *testing.T, plan jail.Plan, program string, change func(*vmm.Spec)) (vmm.Machine, vmm.Spec) {
	t.Helper()
	if f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0); err != nil {
		t.Skip("this host has no /dev/kvm that this user may open:", err)
	} else {
		f.Close()
	}
	dir := t.TempDir()
	spec := vmm.Spec{
		Box: "test", CPUs: 2, MemoryMiB: 64, MAC: "5a:94:ef:e4:0c:ee",
		Kernel: filepath.Join(dir, "kernel"), Initrd: filepath.Join(dir, "initrd"), Console: filepath.Join(dir, "console"),
	}
	for i, readOnly := range []bool{true, false} {
		d := vmm.Disk{Path: filepath.Join(dir, fmt.Sprint("disk", i)), Serial: fmt.Sprint("disk", i), ReadOnly: readOnly}
		if err := os.WriteFile(d.Path, make([]byte, 1<<20), 0o600); err != nil {
			t.Fatal(err)
		}
		spec.Disks = append(spec.Disks, d)
	}
	if change != nil {
		change(&spec)
	}
	for path, content := range map[string][]byte{spec.Kernel: guesttest.Kernel(program), spec.Initrd: []byte("initrd")} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m, err := kvm.Engine{}.Start(t.Context(), spec, plan)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Kill(); err != nil {
			t.Errorf("kill: %v", err)
		}
		m.Wait()
		if n := m.Network(); n != nil {
			_ = n.Close()
		}
		if err := syscall.Kill(m.PID(), 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d is left: %v", m.PID(), err)
		}
	})
	return m, spec
}

func said(t *testing.T, spec vmm.Spec) string {
	t.Helper()
	text, err := os.ReadFile(spec.Console)
	if err != nil {
		t.Error(err)
	}
	return string(text)
}

func TestReset(t *testing.T) {
	for name, plan := range plans(t) {
		t.Run(name, func(t *testing.T) {
			m, spec := boot(t, plan, guesttest.Say("hello\n")+guesttest.Reset+guesttest.Forever, nil)
			if o := m.Wait(); o.Reason != vmm.ReasonOff || o.Err != nil || o.At.IsZero() {
				t.Errorf("it ended %+v", o)
			}
			if got := said(t, spec); got != "hello\n" {
				t.Errorf("it said %q", got)
			}
		})
	}
}

func TestPanicIsTold(t *testing.T) {
	m, _ := boot(t, jail.Plan{}, guesttest.Say("Kernel panic - not syncing: of boredom\n")+guesttest.Reset+guesttest.Forever, nil)
	if o := m.Wait(); o.Reason != vmm.ReasonPanic || o.Err == nil || !strings.Contains(o.Err.Error(), "of boredom") {
		t.Errorf("it ended %+v", o)
	}
}

// TestTripleFaultIsDiagnosed does not look at registers: AMD processors forget them.
func TestTripleFaultIsDiagnosed(t *testing.T) {
	m, _ := boot(t, jail.Plan{}, guesttest.Fault, nil)
	if o := m.Wait(); o.Reason != vmm.ReasonFailed || o.Err == nil || !strings.Contains(o.Err.Error(), "triple fault") || !strings.Contains(o.Err.Error(), "RIP=") {
		t.Errorf("it ended %+v", o)
	}
}

func TestKilled(t *testing.T) {
	for name, plan := range plans(t) {
		t.Run(name, func(t *testing.T) {
			m, _ := boot(t, plan, guesttest.Forever, nil)
			if err := errors.Join(m.Pause(t.Context()), m.Pause(t.Context()), m.Resume(t.Context())); err != nil {
				t.Error(err)
			}
			if err := m.Kill(); err != nil {
				t.Fatal(err)
			}
			if o := m.Wait(); o.Reason != vmm.ReasonKilled {
				t.Errorf("it ended %+v", o)
			}
			if err := m.Pause(t.Context()); err == nil {
				t.Error("it was paused afterwards")
			}
		})
	}
}

func TestKilledByAnother(t *testing.T) {
	m, _ := boot(t, jail.Plan{}, guesttest.Forever, nil)
	if err := syscall.Kill(m.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if o := m.Wait(); o.Reason != vmm.ReasonFailed || o.Err == nil || !strings.Contains(o.Err.Error(), "kill") {
		t.Errorf("it ended %+v", o)
	}
}

// TestNobodyAnswers: dialling waits for a guest that never says that it is there.
func TestNobodyAnswers(t *testing.T) {
	m, _ := boot(t, jail.Plan{}, guesttest.Forever, nil)
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		conn, err := m.Portal().Dial(ctx, 1)
		closeIf(conn)
		failed <- err
	}()
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("dial: %v", err)
	}
	go func() {
		conn, err := m.Portal().Dial(t.Context(), 1)
		closeIf(conn)
		failed <- err
	}()
	if err := m.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err == nil {
		t.Error("it was reached when it had ended")
	}
}

func closeIf(conn net.Conn) {
	if conn != nil {
		conn.Close()
	}
}

// TestManyDisks has more devices than there are interrupts.
func TestManyDisks(t *testing.T) {
	m, _ := boot(t, jail.Plan{}, guesttest.Say("hello\n")+guesttest.Reset+guesttest.Forever, func(s *vmm.Spec) {
		path := s.Disks[0].Path
		s.Disks = nil
		for i := range vmm.MaxDisks {
			s.Disks = append(s.Disks, vmm.Disk{Path: path, Serial: fmt.Sprint("disk", i), ReadOnly: true})
		}
	})
	if o := m.Wait(); o.Reason != vmm.ReasonOff {
		t.Errorf("it ended %+v", o)
	}
}

func TestTwoMachines(t *testing.T) {
	a, specA := boot(t, jail.Plan{}, guesttest.Say("a\n")+guesttest.Forever, nil)
	b, specB := boot(t, jail.Plan{}, guesttest.Say("b\n")+guesttest.Reset+guesttest.Forever, nil)
	if o := b.Wait(); o.Reason != vmm.ReasonOff || said(t, specB) != "b\n" {
		t.Errorf("it ended %+v", o)
	}
	if err := a.Kill(); err != nil {
		t.Fatal(err)
	}
	if a.Wait(); said(t, specA) != "a\n" {
		t.Errorf("the other said %q", said(t, specA))
	}
}

// TestHostileGuest writes garbage to all registers, and to the memory in which queues may
// be. It may break its devices, and nothing else.
func TestHostileGuest(t *testing.T) {
	count := uint32(30_000)
	if testing.Short() {
		count = 10_000
	}
	for name, plan := range plans(t) {
		for seed := range uint32(3) {
			t.Run(fmt.Sprint(name, seed), func(t *testing.T) {
				m, spec := boot(t, plan, guesttest.Storm(seed*0x9e3779b9, count)+guesttest.Say("through\n")+guesttest.Reset+guesttest.Forever, nil)
				go func() { // nobody waits for what it may send
					for m.Network().Receive(func([]byte) {}) == nil {
					}
				}()
				if o := m.Wait(); o.Reason != vmm.ReasonOff || o.Err != nil {
					t.Errorf("it ended %+v", o)
				}
				if got := said(t, spec); !strings.HasSuffix(got, "through\n") {
					t.Errorf("it said %q", got)
				}
			})
		}
	}
}
