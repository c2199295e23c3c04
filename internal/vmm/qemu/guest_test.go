package qemu_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"

	"github.com/boxlite-go/boxlite/internal/vmm"
	"github.com/boxlite-go/boxlite/internal/vmm/qemu"
)

func TestMain(m *testing.M) {
	if os.Getenv(parentVariable) != "" {
		if err := beParent(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code := m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// built are the files that all guests boot from.
var built struct {
	once       sync.Once
	dir        string
	capability vmm.Capability
	err        error
}

// guest returns an engine that works here, and a machine that boots to
// testdata/init.
func guest(t *testing.T) (*qemu.Engine, vmm.Spec) {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "boxlite-qemu-test-"); built.err != nil {
			return
		}
		if built.err = buildInitrd(built.dir); built.err != nil {
			return
		}
		if built.err = unpackKernel(built.dir); built.err != nil {
			return
		}
		built.capability, built.err = (&qemu.Engine{}).Probe(t.Context())
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return &qemu.Engine{Capability: built.capability}, vmm.Spec{
		Kernel:    filepath.Join(built.dir, "vmlinux"),
		Initrd:    filepath.Join(built.dir, "initrd.cpio"),
		CPUs:      1,
		MemoryMiB: 128,
		Console:   filepath.Join(t.TempDir(), "console.log"),
	}
}

func unpackKernel(dir string) error {
	packed, err := os.Open("../../../kernel/vmlinux-amd64.zst")
	if err != nil {
		return fmt.Errorf("the guest kernel is not there, make kernel builds it: %w", err)
	}
	defer packed.Close()
	r, err := zstd.NewReader(packed)
	if err != nil {
		return err
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "vmlinux"), data, 0o600)
}

func buildInitrd(dir string) error {
	init := filepath.Join(dir, "init")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", init, "./testdata/init")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build init: %w\n%s", err, out)
	}
	program, err := os.ReadFile(init)
	if err != nil {
		return err
	}
	var archive bytes.Buffer
	for _, name := range []string{"proc", "sysfs", "devtmpfs"} {
		addToArchive(&archive, name, 0o040755, nil)
	}
	addToArchive(&archive, "init", 0o100755, program)
	addToArchive(&archive, "TRAILER!!!", 0, nil)
	return os.WriteFile(filepath.Join(dir, "initrd.cpio"), archive.Bytes(), 0o600)
}

// addToArchive writes one entry of a newc archive, as in the kernel's
// Documentation/driver-api/early-userspace/buffer-format.rst.
func addToArchive(w *bytes.Buffer, name string, mode uint32, data []byte) {
	fmt.Fprintf(w, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0, name)
	pad(w)
	w.Write(data)
	pad(w)
}

func pad(w *bytes.Buffer) {
	for w.Len()%4 != 0 {
		w.WriteByte(0)
	}
}
