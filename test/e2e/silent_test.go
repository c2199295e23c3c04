package e2e

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/boxlite-go/boxlite"
	"github.com/boxlite-go/boxlite/internal/assets"
)

// TestSilentAgent: a start ends, whatever the guest does.
func TestSilentAgent(t *testing.T) {
	needMachine(t)
	t.Parallel()
	home := t.TempDir()
	replaceAgent(t, home, "silent")
	rt := openRuntime(t, boxlite.Options{Home: home, StartTimeout: 4 * time.Second})
	box := newBox(t, rt, boxlite.BoxSpec{})
	err := box.Start(t.Context())
	if !errors.Is(err, boxlite.ErrTimeout) || !strings.Contains(err.Error(), ", stage ") || boxlite.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
	info, err := box.Info(t.Context())
	if err != nil || info.Status != boxlite.StatusFailed || info.Error == "" {
		t.Errorf("got %+v, %v", info, err)
	}
	noProcesses(t, info.HostDir)
}

// replaceAgent makes a program of testdata/agents the agent of a home's boxes. It must not
// be larger than the real one.
func replaceAgent(t *testing.T, home, name string) {
	t.Helper()
	boot, err := assets.Unpack(filepath.Join(home, "init/rootfs"))
	if err != nil {
		t.Fatal(err)
	}
	initrd := boot.Initrd
	content, err := os.ReadFile(builtAgent(t, name))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	err = assets.WriteInitrd(&b, int64(len(content)), func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(initrd)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(initrd, 0o644); err != nil {
		t.Fatal(err)
	}
	if int64(b.Len()) > info.Size() {
		t.Fatalf("the agent takes %d bytes more than the real one", int64(b.Len())-info.Size())
	}
	whole := make([]byte, info.Size()) // zeros at the end mean nothing to the kernel
	copy(whole, b.Bytes())
	if err := os.WriteFile(initrd, whole, 0o600); err != nil {
		t.Fatal(err)
	}
}

// builtAgent returns a built agent: that in the folder that BOXLITE_TEST_AGENTS names, where
// no compiler is, or a new one.
func builtAgent(t *testing.T, name string) string {
	t.Helper()
	if dir := os.Getenv("BOXLITE_TEST_AGENTS"); dir != "" {
		return filepath.Join(dir, name)
	}
	program := filepath.Join(t.TempDir(), name)
	build := exec.Command("go", "build", "-buildvcs=false", "-trimpath", "-tags=grpcnotrace", "-ldflags=-s -w", "-gcflags=all=-l", "-o", program, "./testdata/agents/"+name)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return program
}
