package kvm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/jail"
	"github.com/boxlite-go/boxlite/internal/portal"
	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/boxlite-go/boxlite/internal/vmm"
	"github.com/boxlite-go/boxlite/internal/vmm/child"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/control"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/monitor"
)

// BeOther turns the test's program into the fake VMM, or a shim, if it was started as that.
func BeOther() (code int, ok bool) {
	if os.Args[0] == monitor.Name {
		kernel := make([]byte, len(fakeKernel))
		if _, err := unix.Pread(control.FDKernel, kernel, 0); err == nil && string(kernel) == fakeKernel {
			return beVMM(), true
		}
	}
	if os.Getenv(envShim) == "" {
		return 0, false
	}
	if err := beShim(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1, true
	}
	return 0, true
}

// machineFor describes a machine that does wrong what mode says.
func machineFor(t *testing.T, mode string) vmm.Spec {
	t.Helper()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return vmm.Spec{
		Box: "test", Kernel: file("kernel", fakeKernel+mode), Initrd: file("initrd", ""), CPUs: 2, MemoryMiB: 128,
		Disks: []vmm.Disk{
			{Path: file("image", "old image"), Serial: "image", ReadOnly: true}, {Path: file("disk", "old disk"), Serial: "disk"},
		},
		Console: filepath.Join(dir, "console.log"),
	}
}

// boot starts a machine, and sees to it that nothing of it is left in the end.
func boot(t *testing.T, spec vmm.Spec, plan jail.Plan) vmm.Machine {
	t.Helper()
	m, err := start(t.Context(), spec, plan, os.DevNull, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Kill(); err != nil {
			t.Errorf("kill: %v", err)
		}
		m.Wait()
		if m.Network() != nil {
			_ = m.Network().Close()
		}
		if err := syscall.Kill(m.PID(), 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d is left: %v", m.PID(), err)
		}
	})
	return m
}

func dial(t *testing.T, m vmm.Machine, port uint32) net.Conn {
	t.Helper()
	conn, err := m.Portal().Dial(t.Context(), port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// joined has a machine join a connection, both ends of which it returns, to a port.
func joined(t *testing.T, m vmm.Machine, port uint32) (here, there *net.UnixConn) {
	t.Helper()
	ours, file, err := child.SocketPair(syscall.SOCK_STREAM)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	theirs, err := net.FileConn(file)
	if err != nil {
		t.Fatal(err)
	}
	here, there = ours.(*net.UnixConn), theirs.(*net.UnixConn)
	t.Cleanup(func() { here.Close(); there.Close() })
	if err := m.Portal().(portal.Joiner).Join(t.Context(), there, port); err != nil {
		t.Fatal(err)
	}
	return here, there
}

func read(t *testing.T, conn net.Conn) string {
	t.Helper()
	text, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// jails are none, and all that this host gives.
func jails(t *testing.T) map[string]jail.Plan {
	t.Helper()
	support, err := jail.Probe(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	whole, err := support.Plan(jail.Default, fmt.Sprintf("test%d", os.Getpid()))
	if err != nil {
		t.Skip(err)
	}
	return map[string]jail.Plan{"none": {}, "whole": whole}
}

func TestMachine(t *testing.T) {
	for name, plan := range jails(t) {
		t.Run(name, func(t *testing.T) {
			spec := machineFor(t, "")
			spec.MAC = "5a:94:ef:e4:0c:ee"
			m := boot(t, spec, plan)
			conn := dial(t, m, portEcho)
			if _, err := conn.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if got := read(t, conn); got != "hello" {
				t.Errorf("got %q", got)
			}
			want := "2 128 5a:94:ef:e4:0c:ee; image true old  <nil> bad file descriptor; disk false old  <nil> <nil>; <nil>\n"
			if got := read(t, dial(t, m, portFiles)); got != want {
				t.Errorf("got  %swant %s", got, want)
			}
			here, there := joined(t, m, portEcho)
			if err := there.Close(); err != nil { // the VMM has its own
				t.Fatal(err)
			}
			if _, err := here.Write([]byte("joined")); err != nil {
				t.Fatal(err)
			}
			if err := here.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if got := read(t, here); got != "joined" {
				t.Errorf("got %q", got)
			}
			if got := read(t, dial(t, m, portClosed)); got != "" {
				t.Errorf("got %q", got)
			}
			if _, err := m.Portal().Dial(t.Context(), portRefused); !errors.Is(err, protocol.KindPortal) {
				t.Errorf("error %v", err)
			}
			if err := errors.Join(m.Pause(t.Context()), m.Resume(t.Context())); err != nil {
				t.Error(err)
			}
			if m.Network() == nil {
				t.Error("no network")
			}
			dial(t, m, portReset)
			if o := m.Wait(); o.Reason != vmm.ReasonOff || o.Err != nil || o.At.IsZero() {
				t.Errorf("got %+v", o)
			}
			if _, err := m.Portal().Dial(t.Context(), portEcho); !errors.Is(err, protocol.KindStopped) {
				t.Errorf("error %v", err)
			}
			if err := m.Pause(t.Context()); !errors.Is(err, protocol.KindStopped) {
				t.Errorf("error %v", err)
			}
			console, err := os.ReadFile(spec.Console)
			if err != nil || string(console) != "Linux says console=hvc0 quiet panic=-1 reboot=k tsc=reliable pci=off dummy.numdummies=0\r\n" {
				t.Errorf("console %q, %v", console, err)
			}
			disk, err := os.ReadFile(spec.Disks[1].Path)
			if err != nil || string(disk) != "old disknew" {
				t.Errorf("disk %q, %v", disk, err)
			}
		})
	}
}

func TestEndings(t *testing.T) {
	for _, test := range []struct {
		name   string
		end    func(*testing.T, vmm.Machine)
		reason vmm.Reason
		err    string
	}{
		{"reset", func(t *testing.T, m vmm.Machine) { dial(t, m, portReset) }, vmm.ReasonOff, ""},
		{
			"panic", func(t *testing.T, m vmm.Machine) { dial(t, m, portPanic) },
			vmm.ReasonPanic, "guest: Kernel panic - not syncing: Attempted to kill init!",
		},
		{
			"triple fault", func(t *testing.T, m vmm.Machine) { dial(t, m, portTripleFault) },
			vmm.ReasonFailed, "run the virtual machine: triple fault: processor 0; rip 1; rsp 2",
		},
		{
			"crash", func(t *testing.T, m vmm.Machine) { dial(t, m, portCrash) },
			vmm.ReasonFailed, "exit status 2",
		},
		{"kill", func(t *testing.T, m vmm.Machine) { dial(t, m, portEcho); _ = m.Kill() }, vmm.ReasonKilled, ""},
		{"kill at once", func(t *testing.T, m vmm.Machine) { _ = m.Kill() }, vmm.ReasonKilled, ""},
		{
			"killed by another", func(t *testing.T, m vmm.Machine) { _ = syscall.Kill(m.PID(), syscall.SIGKILL) },
			vmm.ReasonFailed, "signal: killed",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := boot(t, machineFor(t, ""), jail.Plan{})
			test.end(t, m)
			o := m.Wait()
			if o.Reason != test.reason || (o.Err == nil) != (test.err == "") {
				t.Errorf("got %+v", o)
			}
			if o.Err != nil && !strings.Contains(o.Err.Error(), test.err) {
				t.Errorf("error %v, want %s", o.Err, test.err)
			}
			if again := m.Wait(); again != o {
				t.Errorf("then %+v", again)
			}
		})
	}
}

func TestStartFails(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range []struct {
		name, mode string
		ctx        context.Context
		change     func(*vmm.Spec)
		want       error
		text, hint string
	}{
		{"refused", "refuse", t.Context(), nil, protocol.KindEngine, "KVM request 0xae01: no; such device", "choose the engine qemu"},
		{"dead", "die", t.Context(), nil, protocol.KindEngine, "exit status 3; it hurts", ""},
		{"canceled", "silent", canceled, nil, context.Canceled, "", ""},
		{"no kernel", "", t.Context(), func(s *vmm.Spec) { s.Kernel = "/nowhere" }, protocol.KindStorage, "no such file", "unpacked again"},
		{"no disk", "", t.Context(), func(s *vmm.Spec) { s.Disks[1].Path = "/nowhere" }, protocol.KindStorage, "open disk disk", ""},
		{"no console", "", t.Context(), func(s *vmm.Spec) { s.Console = "/nowhere/console" }, protocol.KindStorage, "", "folder"},
	} {
		t.Run(test.name, func(t *testing.T) {
			spec := machineFor(t, test.mode)
			if test.change != nil {
				test.change(&spec)
			}
			_, err := start(test.ctx, spec, jail.Plan{}, os.DevNull, nil)
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) || !strings.Contains(protocol.HintOf(err), test.hint) {
				t.Errorf("error %v (%s)", err, protocol.HintOf(err))
			}
		})
	}
	if _, err := start(t.Context(), machineFor(t, ""), jail.Plan{}, "/nowhere", nil); !errors.Is(err, protocol.KindEngine) || protocol.HintOf(err) == "" {
		t.Errorf("without KVM: %v", err)
	}
	if _, err := (Engine{}).Start(t.Context(), vmm.Spec{}, jail.Plan{}); !errors.Is(err, protocol.KindInvalidArgument) {
		t.Errorf("without a spec: %v", err)
	}
}

// Two machines that write to one disk would destroy what is on it.
func TestDisksAreLocked(t *testing.T) {
	spec := machineFor(t, "")
	m := boot(t, spec, jail.Plan{})
	_, err := start(t.Context(), spec, jail.Plan{}, os.DevNull, nil)
	if !errors.Is(err, protocol.KindStorage) || !strings.Contains(protocol.HintOf(err), "another virtual machine") {
		t.Errorf("error %v (%s)", err, protocol.HintOf(err))
	}
	shared := spec
	shared.Disks = spec.Disks[:1]
	boot(t, shared, jail.Plan{})
	if err := m.Kill(); err != nil {
		t.Fatal(err)
	}
	m.Wait()
	boot(t, spec, jail.Plan{})
}

func TestWaitingEnds(t *testing.T) {
	ended := func(ctx context.Context, err error) bool {
		return errors.Is(err, context.Canceled) && ctx.Err() != nil || errors.Is(err, protocol.KindStopped)
	}
	t.Run("no agent", func(t *testing.T) {
		m := boot(t, machineFor(t, "no agent"), jail.Plan{})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := m.Portal().Dial(ctx, portEcho); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
		})
		cancel()
		wg.Wait()
		wg.Go(func() {
			if _, err := m.Portal().Dial(t.Context(), portEcho); !errors.Is(err, protocol.KindStopped) {
				t.Errorf("error %v", err)
			}
		})
		_ = m.Kill()
		wg.Wait()
	})
	t.Run("no answer", func(t *testing.T) {
		m := boot(t, machineFor(t, ""), jail.Plan{})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := m.Portal().Dial(ctx, portHang); !ended(ctx, err) {
				t.Errorf("error %v", err)
			}
		})
		cancel()
		wg.Wait()
		if err := m.Pause(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("deaf", func(t *testing.T) {
		m := boot(t, machineFor(t, "deaf"), jail.Plan{})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 300 { // more than fit between the two
			wg.Go(func() {
				if err := m.Pause(ctx); !ended(ctx, err) {
					t.Errorf("error %v", err)
				}
			})
		}
		for range 300 {
			wg.Go(func() {
				if err := m.Resume(t.Context()); !errors.Is(err, protocol.KindStopped) {
					t.Errorf("error %v", err)
				}
			})
		}
		cancel()
		_ = m.Kill()
		wg.Wait()
	})
}
