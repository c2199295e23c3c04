//go:build linux

package network

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// insideEnv is set in the process that has namespaces of its own.
const insideEnv = "BOXLITE_TEST_NETWORK_INSIDE"

// world is the Internet of these tests; nil where none can be made.
var world *internet

// programs is a folder for what is built for the tests.
var programs string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	switch {
	case os.Geteuid() != 0:
		return m.Run() // each test skips, and says why
	case os.Getenv(insideEnv) == "":
		return runInside()
	}
	if err := isolate(); err != nil {
		fmt.Fprintln(os.Stderr, "the network of the tests:", err)
		return 1
	}
	var err error
	if programs, err = os.MkdirTemp("", "boxlite-network-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(programs)
	if world, err = newInternet(programs); err != nil {
		fmt.Fprintln(os.Stderr, "the Internet of the tests:", err)
		return 1
	}
	return m.Run()
}

// runInside runs this program again, in namespaces of its own.
func runInside() int {
	runtime.LockOSThread() // the child ends with this thread
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), insideEnv+"=yes")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	if cmd.ProcessState == nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if code := cmd.ProcessState.ExitCode(); code >= 0 {
		return code
	}
	return 1
}

// isolate makes what is mounted here invisible elsewhere, and forgets the host's proxies.
func isolate() error {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"} {
		_ = os.Unsetenv(name)
		_ = os.Unsetenv(strings.ToLower(name))
	}
	if err := os.Unsetenv(insideEnv); err != nil {
		return err
	}
	return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
}

// outside is a command in the network that the tests were started in, for what has to be
// fetched before they can run.
func outside(name string, args ...string) *exec.Cmd {
	dir, _ := os.Getwd()
	parent := strconv.Itoa(os.Getppid())
	return exec.Command("nsenter", append([]string{"--target", parent, "--net", "--mount", "--wd=" + dir, name}, args...)...)
}

// build builds a program of testdata, without C, so that it runs in any box.
func build(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(programs, name)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	cmd := outside("go", "build", "-buildvcs=false", "-tags", "grpcnotrace", "-o", path, "./testdata/"+name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// needWorld skips a test where no network can be made for it.
func needWorld(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts virtual machines, and -short is set")
	}
	if world == nil {
		t.Skip("only root can make networks for tests")
	}
}
