//go:build amd64

package kvm_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/boxlite-go/boxlite/internal/jail"
	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/boxlite-go/boxlite/internal/vmm"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/guesttest"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/snapshot"
)

func stateFile(t *testing.T) *os.File {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(t.TempDir(), "state"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// read returns a number from the memory of a guest that was saved.
func read(t *testing.T, f *os.File, address int64) uint32 {
	t.Helper()
	var b [4]byte
	if _, err := f.ReadAt(b[:], snapshot.Space+address); err != nil {
		t.Fatal(err)
	}
	return binary.LittleEndian.Uint32(b[:])
}

// saveAgain lets a machine go on for a moment, and saves it.
func saveAgain(t *testing.T, m vmm.Machine, f *os.File) error {
	t.Helper()
	return errors.Join(m.Resume(t.Context()), m.Pause(t.Context()), f.Truncate(0), kvm.Save(t.Context(), m, f))
}

// savedCounter returns a guest that was saved while it counted, and has been killed.
func savedCounter(t *testing.T, plan jail.Plan) (vmm.Spec, *os.File) {
	t.Helper()
	m, spec := boot(t, plan, guesttest.Say("begun\n")+guesttest.Count+guesttest.Say("enough\n")+guesttest.Reset+guesttest.Forever, nil)
	f := stateFile(t)
	if err := kvm.Save(t.Context(), m, f); err == nil {
		t.Error("a machine that runs was saved")
	}
	for counted := uint32(0); counted == 0; counted = read(t, f, guesttest.Counter) {
		if err := saveAgain(t, m, f); err != nil {
			t.Fatal(err)
		}
	}
	if err := kvm.Save(t.Context(), m, f); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("saved twice to one file: %v", err)
	}
	if err := m.Kill(); err != nil {
		t.Fatal(err)
	}
	m.Wait()
	return spec, f
}

// restore has a machine go on, and sees to it that nothing is left of it.
func restore(t *testing.T, spec vmm.Spec, f *os.File, plan jail.Plan) vmm.Machine {
	t.Helper()
	m, err := kvm.Engine{}.Restore(t.Context(), spec, f, plan)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end(t, m) })
	return m
}

// TestRestoredMachineGoesOn saves a guest in the middle of its work. That it has done
// enough is written to its memory while it is only a file: so it can't have ended before.
func TestRestoredMachineGoesOn(t *testing.T) {
	for name, plan := range plans(t) {
		t.Run(name, func(t *testing.T) {
			spec, f := savedCounter(t, plan)
			before := read(t, f, guesttest.Counter)

			again := spec
			again.Console = filepath.Join(t.TempDir(), "again")
			m := restore(t, again, f, plan)
			further := stateFile(t)
			for now := before; now == before; now = read(t, further, guesttest.Counter) {
				if err := saveAgain(t, m, further); err != nil {
					t.Fatal(err)
				}
			}
			if err := m.Kill(); err != nil {
				t.Fatal(err)
			}
			if o := m.Wait(); o.Reason != vmm.ReasonKilled {
				t.Errorf("it ended %+v", o)
			}

			for i, state := range []*os.File{f, further, f} {
				if _, err := state.WriteAt([]byte{1}, snapshot.Space+guesttest.Enough); err != nil {
					t.Fatal(err)
				}
				last := spec
				last.Console = filepath.Join(t.TempDir(), "last")
				if o := restore(t, last, state, plan).Wait(); o.Reason != vmm.ReasonOff || o.Err != nil {
					t.Errorf("%d: it ended %+v", i, o)
				}
				if got := said(t, last); got != "enough\n" {
					t.Errorf("%d: it said %q", i, got)
				}
			}
		})
	}
}

// TestSavedMachineGoesOn: it can go on where it is as well.
func TestSavedMachineGoesOn(t *testing.T) {
	m, _ := boot(t, jail.Plan{}, guesttest.Count, nil)
	f := stateFile(t)
	last := uint32(0)
	for range 3 {
		for now := last; now == last; now = read(t, f, guesttest.Counter) {
			if err := saveAgain(t, m, f); err != nil {
				t.Fatal(err)
			}
		}
		last = read(t, f, guesttest.Counter)
	}
}

// TestStateIsSparse: what the guest has never touched takes no room.
func TestStateIsSparse(t *testing.T) {
	spec, f := savedCounter(t, jail.Plan{})
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if want := snapshot.Space + int64(spec.MemoryMiB)<<20; info.Size() != want {
		t.Errorf("it has %d bytes, want %d", info.Size(), want)
	}
	if used := info.Sys().(*syscall.Stat_t).Blocks * 512; used > 4<<20 {
		t.Errorf("it takes %d bytes", used)
	}
}

// TestDamagedStates: a machine that can't go on says why, and does not run.
func TestDamagedStates(t *testing.T) {
	spec, whole := savedCounter(t, jail.Plan{})
	header := make([]byte, 64<<10)
	if _, err := whole.ReadAt(header, 0); err != nil {
		t.Fatal(err)
	}
	text := bytes.IndexByte(header[32:], 0) // how long it is
	if text < 1000 {
		t.Fatalf("the header has %d bytes", text)
	}
	size := snapshot.Space + int64(spec.MemoryMiB)<<20
	for _, test := range []struct {
		name   string
		change func(*os.File, *vmm.Spec) error
		want   string
	}{
		{"empty", func(f *os.File, _ *vmm.Spec) error { return f.Truncate(0) }, "holds no machine"},
		{"cut in its beginning", func(f *os.File, _ *vmm.Spec) error { return f.Truncate(20) }, "holds no machine"},
		{"cut behind it", func(f *os.File, _ *vmm.Spec) error { return f.Truncate(32) }, "ends in its header"},
		{"cut in its header", func(f *os.File, _ *vmm.Spec) error { return f.Truncate(int64(32 + text/2)) }, "ends in its header"},
		{"without memory", func(f *os.File, _ *vmm.Spec) error { return f.Truncate(snapshot.Space) }, "damaged"},
		{"cut in its memory", func(f *os.File, _ *vmm.Spec) error { return f.Truncate(size - 1) }, "damaged"},
		{"too long", func(f *os.File, _ *vmm.Spec) error { return f.Truncate(size + 1) }, "damaged"},
		{"not written to its end", func(f *os.File, _ *vmm.Spec) error { return at(f, make([]byte, 32), 0) }, "holds no machine"},
		{"of another version", func(f *os.File, _ *vmm.Spec) error { return at(f, []byte{2}, 16) }, "version 2"},
		{"of another length", func(f *os.File, _ *vmm.Spec) error { return at(f, []byte{0xff, 0xff, 0xff, 0xff}, 20) }, "damaged"},
		{"of no length", func(f *os.File, _ *vmm.Spec) error { return at(f, make([]byte, 4), 20) }, "damaged"},
		{"with another sum", func(f *os.File, _ *vmm.Spec) error { return at(f, []byte{^header[24]}, 24) }, "damaged"},
		{"with another text", func(f *os.File, _ *vmm.Spec) error { return at(f, []byte(" "), int64(32+text/2)) }, "damaged"},
		{"for more processors", func(_ *os.File, s *vmm.Spec) error { s.CPUs++; return nil }, "2 processors, not 3"},
		{"for more memory", func(_ *os.File, s *vmm.Spec) error { s.MemoryMiB *= 2; return nil }, "64 MiB of memory, not 128"},
		{"for another card", func(_ *os.File, s *vmm.Spec) error { s.MAC = ""; return nil }, "network card"},
		{"for fewer disks", func(_ *os.File, s *vmm.Spec) error { s.Disks = s.Disks[:1]; return nil }, "disks"},
		{"for a disk of another kind", func(_ *os.File, s *vmm.Spec) error {
			s.Disks = append([]vmm.Disk{}, s.Disks...)
			s.Disks[0].ReadOnly = false
			return nil
		}, "disks"},
		{"for a larger disk", func(_ *os.File, s *vmm.Spec) error {
			s.Disks = append([]vmm.Disk{}, s.Disks...)
			s.Disks[1].Path = filepath.Join(t.TempDir(), "larger")
			return os.WriteFile(s.Disks[1].Path, make([]byte, 2<<20), 0o600)
		}, "sectors"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, other := stateFile(t), spec
			other.Console = filepath.Join(t.TempDir(), "console")
			if err := errors.Join(at(f, header, 0), f.Truncate(size), test.change(f, &other)); err != nil {
				t.Fatal(err)
			}
			m, err := kvm.Engine{}.Restore(t.Context(), other, f, jail.Plan{})
			if err == nil {
				_ = m.Kill()
				m.Wait()
				t.Fatal("it runs")
			}
			if !errors.Is(err, protocol.KindEngine) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("no file", func(t *testing.T) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		defer w.Close()
		if _, err := (kvm.Engine{}).Restore(t.Context(), spec, r, jail.Plan{}); err == nil || !strings.Contains(err.Error(), "no regular file") {
			t.Errorf("a pipe: %v", err)
		}
		if _, err := (kvm.Engine{}).Restore(t.Context(), spec, nil, jail.Plan{}); err == nil {
			t.Error("nothing")
		}
	})
}

func TestSaveOfAnotherKind(t *testing.T) {
	if err := kvm.Save(t.Context(), nil, stateFile(t)); !errors.Is(err, protocol.KindUnsupported) {
		t.Errorf("error %v", err)
	}
}

func at(f *os.File, b []byte, offset int64) error {
	_, err := f.WriteAt(b, offset)
	return err
}
