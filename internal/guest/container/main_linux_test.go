package container

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestMain makes the test's signals those of an agent, which is started by the
// kernel: whoever starts a test may ignore some, and processes inherit that.
func TestMain(m *testing.M) {
	var initial sigaction
	for sig := uintptr(1); sig <= 64; sig++ {
		var now sigaction
		_, _, _ = unix.Syscall6(unix.SYS_RT_SIGACTION, sig, 0, uintptr(unsafe.Pointer(&now)), unsafe.Sizeof(now.mask), 0, 0)
		if now.handler == 1 { // SIG_IGN
			_, _, _ = unix.Syscall6(unix.SYS_RT_SIGACTION, sig, uintptr(unsafe.Pointer(&initial)), 0, unsafe.Sizeof(now.mask), 0, 0)
		}
	}
	os.Exit(m.Run())
}

// newRoot makes a root file system with busybox and a few users.
func newRoot(t testing.TB) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root for namespaces and mounts")
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("needs busybox-static")
	}
	root := t.TempDir()
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"bin", "etc", "tmp", "home/ada"} {
		mustDo(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	mustDo(t, os.Chmod(filepath.Join(root, "tmp"), 0o777|os.ModeSticky))
	text, err := os.ReadFile(busybox)
	mustDo(t, err)
	mustDo(t, os.WriteFile(filepath.Join(root, "bin/busybox"), text, 0o755))
	applets, err := exec.Command(busybox, "--list").Output()
	mustDo(t, err)
	for _, name := range strings.Fields(string(applets)) {
		if name != "busybox" {
			mustDo(t, os.Symlink("busybox", filepath.Join(root, "bin", name)))
		}
	}
	writeFile(t, root, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\nada:x:1000:1000:Ada:/home/ada:/bin/sh\n")
	writeFile(t, root, "etc/group", "root:x:0:root\ntty:x:5:\nada:x:1000:\nwheel:x:10:root,ada\n")
	return root
}

func mustDo(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func writeFile(t testing.TB, root, name, content string) {
	t.Helper()
	mustDo(t, os.WriteFile(filepath.Join(root, name), []byte(content), 0o644))
}

// newContainer starts a container that ends with the test.
func newContainer(t testing.TB, config Config) *Container {
	t.Helper()
	if config.Root == "" {
		config.Root = newRoot(t)
	}
	if config.Hostname == "" {
		config.Hostname = "box"
	}
	c, err := New(context.Background(), config)
	if err != nil {
		if errors.Is(err, unix.EPERM) {
			t.Skip("namespaces or mounts are not permitted here: ", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(c.Kill)
	return c
}

// newCgroup makes a cgroup that goes with the test.
func newCgroup(t testing.TB) string {
	t.Helper()
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var fs unix.Statfs_t
		if unix.Statfs(root, &fs) != nil || fs.Type != unix.CGROUP2_SUPER_MAGIC {
			continue
		}
		dir, err := os.MkdirTemp(root, "boxlite-test-")
		if err != nil {
			t.Skip("can't make a cgroup: ", err)
		}
		t.Cleanup(func() { mustDo(t, os.Remove(dir)) })
		return dir
	}
	t.Skip("needs cgroup v2")
	return ""
}

// result is what a process wrote and how it ended.
type result struct {
	stdout, stderr string
	status         ExitStatus
}

// runProcess runs a process to its end.
func runProcess(t testing.TB, c *Container, p Process) result {
	t.Helper()
	child, err := c.Spawn(p)
	if err != nil {
		t.Fatal(err)
	}
	return collect(t, child)
}

// sh runs a shell script to its end, and returns its output.
func sh(t testing.TB, c *Container, script string) string {
	t.Helper()
	r := runProcess(t, c, Process{Args: []string{"sh", "-c", script}})
	if r.status.Code != 0 {
		t.Errorf("%s: %+v", script, r)
	}
	return strings.TrimSpace(r.stdout)
}

// collect reads the output of a process without input until it and all who hold
// its output have ended.
func collect(t testing.TB, child *Child) result {
	t.Helper()
	var r result
	var wg sync.WaitGroup
	for f, text := range map[*os.File]*string{child.Stdout: &r.stdout, child.Stderr: &r.stderr} {
		if f == nil {
			continue
		}
		wg.Go(func() {
			defer f.Close()
			b, err := io.ReadAll(f)
			if err != nil && child.Stderr != nil {
				t.Error(err)
			}
			*text = string(b)
		})
	}
	wg.Wait()
	r.status = child.Wait()
	return r
}
