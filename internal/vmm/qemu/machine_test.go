package qemu_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/boxlite-go/boxlite/internal/jail"
	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/boxlite-go/boxlite/internal/vmm"
)

// boot starts a machine, and sees to it that nothing of it is left in the end.
func boot(t *testing.T, change func(*vmm.Spec)) (vmm.Machine, vmm.Spec) {
	t.Helper()
	engine, spec := guest(t)
	if change != nil {
		change(&spec)
	}
	m, err := engine.Start(t.Context(), spec, jail.Plan{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Kill(); err != nil {
			t.Errorf("kill: %v", err)
		}
		m.Wait()
		if err := syscall.Kill(m.PID(), 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d is left: %v", m.PID(), err)
		}
		if t.Failed() {
			console, _ := os.ReadFile(spec.Console)
			t.Logf("console:\n%s", console)
		}
	})
	return m, spec
}

// tell sends a command to the guest's init.
func tell(t *testing.T, m vmm.Machine, format string, args ...any) net.Conn {
	t.Helper()
	conn, err := m.Portal().Dial(t.Context(), 1)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	if _, err := fmt.Fprintf(conn, format+"\n", args...); err != nil {
		t.Fatalf("write: %v", err)
	}
	return conn
}

// ask returns what the guest's init answers.
func ask(t *testing.T, m vmm.Machine, format string, args ...any) string {
	t.Helper()
	conn := tell(t, m, format, args...)
	defer conn.Close()
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	return string(answer)
}

func TestEndings(t *testing.T) {
	for _, test := range []struct {
		name   string
		end    func(*testing.T, vmm.Machine)
		reason vmm.Reason
		err    string
	}{
		{"power off", func(t *testing.T, m vmm.Machine) { tell(t, m, "poweroff") }, vmm.ReasonOff, ""},
		{"reboot", func(t *testing.T, m vmm.Machine) { tell(t, m, "reboot") }, vmm.ReasonOff, ""},
		{
			"panic", func(t *testing.T, m vmm.Machine) { tell(t, m, "exit") },
			vmm.ReasonPanic, "Kernel panic - not syncing: Attempted to kill init!",
		},
		{"kill", func(t *testing.T, m vmm.Machine) { ask(t, m, "disks"); _ = m.Kill() }, vmm.ReasonKilled, ""},
		{"kill at once", func(t *testing.T, m vmm.Machine) { _ = m.Kill() }, vmm.ReasonKilled, ""},
		{
			"killed by another", func(t *testing.T, m vmm.Machine) { _ = syscall.Kill(m.PID(), syscall.SIGKILL) },
			vmm.ReasonFailed, "signal: killed",
		},
		{
			"ended by another", func(t *testing.T, m vmm.Machine) { _ = syscall.Kill(m.PID(), syscall.SIGTERM) },
			vmm.ReasonFailed, "host-signal",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, _ := boot(t, nil)
			test.end(t, m)
			got := m.Wait()
			if got.Reason != test.reason || got.At.IsZero() {
				t.Errorf("ended with %+v, want %s", got, test.reason)
			}
			if test.err == "" != (got.Err == nil) || got.Err != nil && !strings.Contains(got.Err.Error(), test.err) {
				t.Errorf("error %v, want %q", got.Err, test.err)
			}
			if again := m.Wait(); again != got {
				t.Errorf("Wait says %+v, then %+v", got, again)
			}
			if _, err := m.Portal().Dial(t.Context(), 1); !errors.Is(err, protocol.KindStopped) {
				t.Errorf("dial: %v, want a stopped error", err)
			}
		})
	}
}

func TestPortalIsByteExact(t *testing.T) {
	m, _ := boot(t, func(s *vmm.Spec) { s.CPUs = 2 })
	conn := tell(t, m, "echo")
	sent := make([]byte, 4<<20)
	_, _ = rand.Read(sent)
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := conn.Write(sent); err != nil {
			t.Errorf("write: %v", err)
		}
		_ = conn.Close()
	})
	got, err := io.ReadAll(conn)
	wg.Wait()
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d bytes came back of %d, or others: %v", len(got), len(sent), err)
	}
}

func TestDialGivesUpWithItsContext(t *testing.T) {
	m, _ := boot(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Portal().Dial(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestDisks(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a,b=c") // QEMU splits its arguments at commas
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	disks := []vmm.Disk{
		{Path: filepath.Join(dir, "image"), Serial: "boxlite-image", ReadOnly: true},
		{Path: filepath.Join(dir, "box"), Serial: "boxlite-disk"},
	}
	for i, d := range disks {
		if err := os.WriteFile(d.Path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(d.Path, int64(i+1)<<20); err != nil {
			t.Fatal(err)
		}
	}
	m, spec := boot(t, func(s *vmm.Spec) { s.Disks = disks; s.Console = filepath.Join(dir, "console") })
	want := "vda boxlite-image 1 2048\nvdb boxlite-disk 0 4096\n"
	if got := ask(t, m, "disks"); got != want {
		t.Errorf("disks:\n%swant:\n%s", got, want)
	}
	ask(t, m, "write vdb written by the guest")
	data, err := os.ReadFile(disks[1].Path)
	if err != nil || !strings.HasPrefix(string(data), "written by the guest\x00") {
		t.Errorf("the file begins with %.30q, %v", data, err)
	}

	// What the guest discards, the host's disk gets back.
	ask(t, m, "fill vdb")
	filled := allocated(t, disks[1].Path)
	ask(t, m, "discard vdb")
	if left := allocated(t, disks[1].Path); filled < 1<<20 || left > filled/2 {
		t.Errorf("%d bytes were allocated, and %d after discarding them", filled, left)
	}

	// Another machine may read the image, but not write the disk.
	engine, _ := guest(t)
	second := spec
	if _, err := engine.Start(t.Context(), second, jail.Plan{}); !errors.Is(err, protocol.KindEngine) ||
		!strings.Contains(protocol.HintOf(err), "another virtual machine") {
		t.Errorf("second machine on the same disk: %v (%s)", err, protocol.HintOf(err))
	}
	second.Disks = disks[:1]
	other, err := engine.Start(t.Context(), second, jail.Plan{})
	if err != nil {
		t.Fatal(err)
	}
	_ = other.Kill()
	other.Wait()
}

// allocated returns how much of the host's disk a file takes.
func allocated(t *testing.T, path string) int64 {
	t.Helper()
	var stat syscall.Stat_t
	if err := syscall.Stat(path, &stat); err != nil {
		t.Fatal(err)
	}
	return stat.Blocks * 512
}

// A guest that prints for ever does not fill the host's disk.
func TestConsoleOfAGuestIsBounded(t *testing.T) {
	m, spec := boot(t, nil)
	ask(t, m, "flood")
	ask(t, m, "print the end")
	tell(t, m, "poweroff")
	m.Wait()
	files, err := filepath.Glob(spec.Console + "*")
	if err != nil || len(files) != 2 {
		t.Errorf("got %q, %v", files, err)
	}
	for _, path := range files {
		if info, err := os.Stat(path); err != nil || info.Size() > 1<<20 {
			t.Errorf("%s: %+v, %v", path, info, err)
		}
	}
	if got, err := os.ReadFile(spec.Console); err != nil || !bytes.Contains(got, []byte("the end\r\n")) {
		t.Errorf("the end is not there: %d bytes, %v", len(got), err)
	}
}

func TestConsoleIsAppended(t *testing.T) {
	old := []byte("from an earlier run\n")
	m, spec := boot(t, func(s *vmm.Spec) {
		if err := os.WriteFile(s.Console, old, 0o600); err != nil {
			t.Fatal(err)
		}
	})
	ask(t, m, "print hello from the guest")
	tell(t, m, "poweroff")
	m.Wait()
	got, err := os.ReadFile(spec.Console)
	if err != nil || !bytes.HasPrefix(got, old) || !bytes.Contains(got, []byte("hello from the guest\r\n")) {
		t.Errorf("console: %q, %v", got, err)
	}
	if len(got) > 1000 {
		t.Errorf("a quiet boot prints %d bytes:\n%s", len(got), got)
	}
}

func TestStartFails(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range []struct {
		name   string
		ctx    context.Context
		change func(*vmm.Spec)
		want   error
	}{
		{"too little memory", t.Context(), func(s *vmm.Spec) { s.MemoryMiB = 63 }, protocol.KindInvalidArgument},
		{"no CPU", t.Context(), func(s *vmm.Spec) { s.CPUs = 0 }, protocol.KindInvalidArgument},
		{"no kernel", t.Context(), func(s *vmm.Spec) { s.Kernel = "/nowhere" }, protocol.KindEngine},
		{"kernel is none", t.Context(), func(s *vmm.Spec) { s.Kernel = s.Initrd }, protocol.KindEngine},
		{"no disk", t.Context(), func(s *vmm.Spec) { s.Disks = []vmm.Disk{{Path: "/nowhere", Serial: "x"}} }, fs.ErrNotExist},
		{"no console", t.Context(), func(s *vmm.Spec) { s.Console = "/nowhere/console" }, protocol.KindStorage},
		{"canceled", canceled, func(*vmm.Spec) {}, context.Canceled},
	} {
		t.Run(test.name, func(t *testing.T) {
			engine, spec := guest(t)
			test.change(&spec)
			m, err := engine.Start(test.ctx, spec, jail.Plan{})
			if err == nil {
				_ = m.Kill()
				m.Wait()
			}
			if !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
			t.Logf("%v (%s)", err, protocol.HintOf(err))
		})
	}
}
