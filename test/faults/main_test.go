package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/boxlite-go/boxlite"
	"github.com/boxlite-go/boxlite/internal/stage"
)

// hang is after how long something counts as never going to happen.
const hang = 2 * time.Minute

func TestMain(m *testing.M) {
	if os.Getenv(roleVariable) != "" {
		os.Exit(create(os.Args[1:]))
	}
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "faults-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	scratch = dir
	return m.Run()
}

// scratch is a folder for all tests.
var scratch string

// imported is the reference of the image in every home.
func imported() string { return "rootfs:" + filepath.Join(scratch, "rootfs.tar") }

// template makes a home with one imported image, and one box, "kept", that has run, has written the file
// /root/0, and was stopped properly.
var template = sync.OnceValues(func() (string, error) {
	home := filepath.Join(scratch, "template")
	rt, err := boxlite.Open(boxlite.Options{Home: home})
	if err != nil {
		return "", err
	}
	defer rt.Close()
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	defer cancel()
	box, err := rt.Create(ctx, boxlite.BoxSpec{Name: "kept", MemoryMiB: 128, CPUs: 1})
	if err == nil {
		err = write(ctx, box, "0")
	}
	if err == nil {
		err = box.Stop(ctx)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(scratch, "rootfs.tar"), smallTar("template"), 0o600)
	}
	if err == nil {
		_, err = rt.Images().Pull(ctx, imported(), boxlite.PullOptions{})
	}
	return home, err
})

// write has a command in the box write a file and sync: what it writes must never
// be lost once write has returned nil.
func write(ctx context.Context, box *boxlite.Box, name string) error {
	return box.Command("sh", "-c", fmt.Sprintf("echo %s > /root/%s && sync", name, name)).Run(ctx)
}

// newHome returns a copy of the template.
func newHome(t *testing.T) string {
	t.Helper()
	needMachine(t)
	from, err := template()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(scratch, "")
	if err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(dir, "home")
	if out, err := exec.Command("cp", "-a", from, home).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.Mkdir(filepath.Join(dir, "tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			logLogs(t, home)
		}
		rt, err := boxlite.Open(boxlite.Options{Home: home})
		if err != nil {
			t.Error(err)
			return
		}
		defer rt.Close()
		removeAll(t, rt)
		_ = os.RemoveAll(dir)
	})
	return home
}

// logLogs prints the ends of the logs of a home's boxes.
func logLogs(t *testing.T, home string) {
	logs, err := filepath.Glob(filepath.Join(home, "boxes/*/logs/*"))
	if err != nil {
		t.Error(err)
	}
	for _, path := range logs {
		content, err := os.ReadFile(path)
		t.Logf("%s: %v\n%s", path, err, content[max(0, len(content)-2000):])
	}
}

func removeAll(t *testing.T, rt *boxlite.Runtime) {
	t.Helper()
	list, err := rt.List(context.Background())
	if err != nil {
		t.Error(err)
	}
	for _, info := range list {
		if err := rt.Remove(context.Background(), info.ID, true); err != nil && !errors.Is(err, boxlite.ErrNotFound) {
			t.Error(err)
		}
	}
}

// needMachine skips where processes can't be counted, and where -short is set. A
// host where no box starts fails the tests.
func needMachine(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts virtual machines, and -short is set")
	}
	if runtime.GOOS != "linux" {
		t.Skip("counts processes in /proc")
	}
}

func openHome(t *testing.T, home string) *boxlite.Runtime {
	t.Helper()
	rt, err := boxlite.Open(boxlite.Options{Home: home})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := rt.Close(); err != nil {
			t.Error(err)
		}
	})
	return rt
}

func getBox(t *testing.T, rt *boxlite.Runtime, ref string) *boxlite.Box {
	t.Helper()
	box, err := rt.Get(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	return box
}

// patience is a context that ends when nothing can be expected any more.
func patience(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	t.Cleanup(cancel)
	return ctx
}

// environment is that of a creator, whose temporary files go to tmp.
func environment(tmp, socket string) []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + tmp, "TMPDIR=" + tmp,
		roleVariable + "=1", stage.Variable + "=" + socket,
	}
}
