package container

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

func TestSpawnOutputIsExact(t *testing.T) {
	root := newRoot(t)
	want := bytes.Repeat([]byte("0123456789abcde\n"), 1000)
	writeFile(t, root, "data", string(want))
	c := newContainer(t, Config{Root: root})
	for i := range 1000 {
		r := runProcess(t, c, Process{Args: []string{"cat", "/data"}})
		if r.stdout != string(want) || r.stderr != "" || r.status != (ExitStatus{}) {
			t.Fatalf("run %d: %d bytes of %d, %q, %+v", i, len(r.stdout), len(want), r.stderr, r.status)
		}
	}
}

func TestSpawnConcurrently(t *testing.T) {
	c := newContainer(t, Config{Cgroup: newCgroup(t)})
	var wg sync.WaitGroup
	pids := make([]string, 500)
	for i := range pids {
		wg.Go(func() {
			child, err := c.Spawn(Process{Args: []string{"sh", "-c", fmt.Sprintf("echo $$; exit %d", i%256)}})
			if err != nil {
				t.Error(err)
				return
			}
			r := collect(t, child)
			if pids[i] = r.stdout; r.stdout != fmt.Sprintln(child.PID) || r.status.Code != i%256 {
				t.Errorf("process %d: got %+v of PID %d", i, r, child.PID)
			}
		})
	}
	wg.Wait()
	slices.Sort(pids)
	if n := len(slices.Compact(pids)); n != 500 {
		t.Errorf("%d process IDs for 500 processes", n)
	}
}

func TestSpawnErrors(t *testing.T) {
	root := newRoot(t)
	writeFile(t, root, "plain", "no program")
	writeFile(t, root, "bin/unmarked", "no program")
	writeFile(t, root, "noshebang", "echo hi\n")
	mustDo(t, os.Chmod(filepath.Join(root, "noshebang"), 0o755))
	writeFile(t, root, "lost", "#!/no/interpreter\n")
	mustDo(t, os.Chmod(filepath.Join(root, "lost"), 0o755))
	mustDo(t, os.Mkdir(filepath.Join(root, "secret"), 0o700))
	mustDo(t, os.Link(filepath.Join(root, "bin/busybox"), filepath.Join(root, "secret/busybox")))
	c := newContainer(t, Config{Root: root})

	for _, test := range []struct {
		name    string
		process Process
		kind    protocol.Kind
		errno   error
	}{
		{"no command", Process{}, protocol.KindInvalidArgument, nil},
		{"empty command", Process{Args: []string{""}}, protocol.KindInvalidArgument, nil},
		{"not in PATH", Process{Args: []string{"nope"}}, protocol.KindExecution, unix.ENOENT},
		{"no such file", Process{Args: []string{"/nope"}}, protocol.KindExecution, unix.ENOENT},
		{"no such relative file", Process{Args: []string{"./sh"}}, protocol.KindExecution, unix.ENOENT},
		{"below a file", Process{Args: []string{"/plain/nope"}}, protocol.KindExecution, unix.ENOTDIR},
		{"empty PATH", Process{Args: []string{"sh"}, Env: []string{"PATH="}}, protocol.KindExecution, unix.ENOENT},
		{"not executable", Process{Args: []string{"/plain"}}, protocol.KindExecution, unix.EACCES},
		{"not executable in PATH", Process{Args: []string{"unmarked"}}, protocol.KindExecution, unix.EACCES},
		{"a folder", Process{Args: []string{"/etc"}}, protocol.KindExecution, unix.EACCES},
		{"out of reach", Process{Args: []string{"/secret/busybox"}, User: "ada"}, protocol.KindExecution, unix.EACCES},
		{"no format", Process{Args: []string{"/noshebang"}}, protocol.KindExecution, unix.ENOEXEC},
		{"no interpreter", Process{Args: []string{"/lost"}}, protocol.KindExecution, unix.ENOENT},
		{"too long", Process{Args: []string{"sh", strings.Repeat("x", 1<<18)}}, protocol.KindExecution, unix.E2BIG},
		{"zero byte", Process{Args: []string{"echo", "a\x00b"}}, protocol.KindInvalidArgument, unix.EINVAL},
		{"no such folder", Process{Args: []string{"true"}, Dir: "/nope"}, protocol.KindInvalidArgument, unix.ENOENT},
		{"folder is a file", Process{Args: []string{"true"}, Dir: "/plain"}, protocol.KindInvalidArgument, unix.ENOTDIR},
		{"no such user", Process{Args: []string{"true"}, User: "eve"}, protocol.KindInvalidArgument, nil},
		{"no such group", Process{Args: []string{"true"}, User: "ada:eve"}, protocol.KindInvalidArgument, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := c.Spawn(test.process)
			if !errors.Is(err, test.kind) || test.errno != nil && !errors.Is(err, test.errno) {
				t.Errorf("got %v", err)
			}
			if protocol.HintOf(err) == "" {
				t.Errorf("no hint in %v", err)
			}
		})
	}
}

func TestSpawnEnvironment(t *testing.T) {
	root := newRoot(t)
	mustDo(t, os.Mkdir(filepath.Join(root, "opt"), 0o755))
	mustDo(t, os.Symlink("/bin/busybox", filepath.Join(root, "opt/hostname")))
	c := newContainer(t, Config{Root: root, Env: []string{"A=1", "B=2", "EMPTY=", "bare"}, Dir: "/made/here", User: "ada"})
	r := runProcess(t, c, Process{Args: []string{"env"}, Env: []string{"B=3", "C==", "B=4", "X=a\x00b"}})
	got := strings.Fields(r.stdout)
	slices.Sort(got)
	want := []string{"A=1", "B=4", "C==", "EMPTY=", "HOME=/home/ada", "HOSTNAME=box", "PATH=" + defaultPath}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := sh(t, c, "pwd"); got != "/made/here" {
		t.Errorf("working directory %s", got)
	}
	r = runProcess(t, c, Process{Args: []string{"env"}, Env: []string{"HOME=/x", "HOSTNAME=y", "PATH=/nope:/bin"}, User: "0", Dir: "tmp"})
	for _, want := range []string{"HOME=/x\n", "HOSTNAME=y\n", "PATH=/nope:/bin\n"} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("%q is not in %q", want, r.stdout)
		}
	}
	// The search is along the process's own PATH, in which "" is the working directory.
	for _, path := range []string{"/opt:/bin", "/nope::/bin", "/etc/passwd:/opt"} {
		r = runProcess(t, c, Process{Args: []string{"hostname"}, Env: []string{"PATH=" + path}, Dir: "/opt"})
		if r.stdout != "box\n" {
			t.Errorf("PATH=%s: got %+v", path, r)
		}
	}
}

func TestSpawnUsers(t *testing.T) {
	c := newContainer(t, Config{})
	for user, want := range map[string]string{
		"":          "0 0 0 10",
		"root":      "0 0 0 10",
		"ada":       "1000 1000 10 1000",
		"1000":      "1000 1000 10 1000",
		"ada:tty":   "1000 5 5",
		"4242":      "4242 0 0",
		"4242:4343": "4242 4343 4343",
	} {
		r := runProcess(t, c, Process{Args: []string{"sh", "-c", "id -u; id -g; id -G"}, User: user})
		got := strings.Fields(r.stdout)
		slices.Sort(got[2:])
		if strings.Join(got, " ") != want {
			t.Errorf("user %q: got %s, want %s", user, got, want)
		}
	}
	// The user owns the pipes, so may open them again by name.
	r := runProcess(t, c, Process{Args: []string{"sh", "-c", "echo out > /dev/stdout; echo err > /dev/stderr"}, User: "ada"})
	if r.stdout != "out\n" || r.stderr != "err\n" {
		t.Errorf("got %+v", r)
	}
}

func TestSpawnSetUserID(t *testing.T) {
	root := newRoot(t)
	// busybox's su asks for no password where there is none.
	writeFile(t, root, "etc/passwd", "root::0:0::/:/bin/sh\nada:x:1000:1000::/:/bin/sh\n")
	mustDo(t, os.Chmod(filepath.Join(root, "bin/busybox"), 0o755|os.ModeSetuid))
	c := newContainer(t, Config{Root: root})
	for _, args := range [][]string{
		{"su", "root", "-c", "id -u; grep CapEff /proc/self/status"},
		{"sh", "-c", "su root -c 'id -u; grep CapEff /proc/self/status'"},
	} {
		r := runProcess(t, c, Process{Args: args, User: "ada"})
		if want := "0\nCapEff:\t00000000a80425fb\n"; r.stdout != want {
			t.Errorf("%q: got %+v", args, r)
		}
	}
}

func TestSpawnStdin(t *testing.T) {
	c := newContainer(t, Config{})
	child, err := c.Spawn(Process{Args: []string{"cat"}, Stdin: true})
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Repeat("input\n", 100_000)
	go func(stdin *os.File) {
		_, _ = io.WriteString(stdin, want)
		stdin.Close()
	}(child.Stdin)
	if r := collect(t, child); r.stdout != want {
		t.Errorf("%d bytes came back of %d", len(r.stdout), len(want))
	}
	child, err = c.Spawn(Process{Args: []string{"cat"}})
	if err != nil {
		t.Fatal(err)
	}
	if r := collect(t, child); child.Stdin != nil || r.stdout != "" || r.status.Code != 0 {
		t.Errorf("without standard input: %+v", r)
	}
}

func TestSpawnTerminal(t *testing.T) {
	c := newContainer(t, Config{})
	script := "tty; tty <&1; stty size; echo $TERM; stat -c %U:%G:%a /dev/pts/0; echo ok > /dev/tty"
	child, err := c.Spawn(Process{Args: []string{"sh", "-c", script}, TTY: true, Rows: 33, Cols: 111, User: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	want := "/dev/pts/0\r\n/dev/pts/0\r\n33 111\r\nxterm\r\nada:tty:620\r\nok\r\n"
	if r := collect(t, child); r.stdout != want || child.Stderr != nil || child.Stdin != nil {
		t.Errorf("got %q, want %q", r.stdout, want)
	}

	child, err = c.Spawn(Process{
		Args: []string{"sh", "-c", "trap 'stty size; exit' WINCH; echo ready; while :; do read _; done"}, TTY: true, Stdin: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	readUntil(t, child.Stdout, "ready")
	if err := child.Resize(50, 60); err != nil {
		t.Fatal(err)
	}
	// busybox's shell runs a trap when its read returns.
	if _, err := child.Stdin.WriteString("\n"); err != nil {
		t.Fatal(err)
	}
	readUntil(t, child.Stdout, "50 60")
	collect(t, child)

	child, err = c.Spawn(Process{Args: []string{"stty", "size"}, TTY: true})
	if err != nil {
		t.Fatal(err)
	}
	if r := collect(t, child); r.stdout != "24 80\r\n" {
		t.Errorf("default size %q", r.stdout)
	}
	if err := runTrue(t, c).Resize(1, 1); !errors.Is(err, protocol.KindInvalidState) {
		t.Errorf("resize without a terminal: %v", err)
	}
}

// readUntil reads until a text has come.
func readUntil(t *testing.T, r io.Reader, text string) {
	t.Helper()
	var all []byte
	for !bytes.Contains(all, []byte(text)) {
		b := make([]byte, 256)
		n, err := r.Read(b)
		all = append(all, b[:n]...)
		if err != nil {
			t.Fatalf("%v after %q", err, all)
		}
	}
}

// runTrue runs a process that does nothing to its end.
func runTrue(t testing.TB, c *Container) *Child {
	t.Helper()
	child, err := c.Spawn(Process{Args: []string{"true"}})
	if err != nil {
		t.Fatal(err)
	}
	collect(t, child)
	return child
}

func TestChildStatus(t *testing.T) {
	c := newContainer(t, Config{})
	for script, want := range map[string]ExitStatus{
		"exit 0":        {},
		"exit 255":      {Code: 255},
		"kill -TERM $$": {Code: 143, Signal: syscall.SIGTERM},
		"kill -KILL $$": {Code: 137, Signal: syscall.SIGKILL},
		"kill -SEGV $$": {Code: 139, Signal: syscall.SIGSEGV},
	} {
		if r := runProcess(t, c, Process{Args: []string{"sh", "-c", script}}); r.status != want {
			t.Errorf("%s: got %+v, want %+v", script, r.status, want)
		}
	}
}

func TestChildSignal(t *testing.T) {
	c := newContainer(t, Config{})
	child, err := c.Spawn(Process{Args: []string{"cat"}, Stdin: true})
	if err != nil {
		t.Fatal(err)
	}
	defer child.Stdin.Close()
	if err := child.Signal(syscall.Signal(99)); !errors.Is(err, protocol.KindInvalidArgument) {
		t.Errorf("signal 99: %v", err)
	}
	if err := child.Signal(syscall.SIGUSR1); err != nil {
		t.Error(err)
	}
	if r := collect(t, child); r.status.Signal != syscall.SIGUSR1 {
		t.Errorf("got %+v", r)
	}
	if err := child.Signal(syscall.SIGKILL); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal after the end: %v", err)
	}
}

// TestChildSignalGroup: what holds the output open in the background ends, too.
func TestChildSignalGroup(t *testing.T) {
	c := newContainer(t, Config{})
	child, err := c.Spawn(Process{Args: []string{"sh", "-c", "sleep 1000 & sleep 1000; exit 3"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := child.SignalGroup(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if r := collect(t, child); r.status.Signal != syscall.SIGTERM {
		t.Errorf("got %+v", r)
	}
	if err := child.SignalGroup(syscall.SIGKILL); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal after the end: %v", err)
	}
}

// TestChildBackground: a process in the background holds the output open, which
// Wait doesn't mind.
func TestChildBackground(t *testing.T) {
	c := newContainer(t, Config{})
	child, err := c.Spawn(Process{Args: []string{"sh", "-c", "mkfifo /tmp/go; (read x </tmp/go; echo later) & echo now"}})
	if err != nil {
		t.Fatal(err)
	}
	if status := child.Wait(); status.Code != 0 {
		t.Errorf("got %+v", status)
	}
	sh(t, c, "echo >/tmp/go")
	if r := collect(t, child); r.stdout != "now\nlater\n" {
		t.Errorf("got %+v", r)
	}
}

func TestOrphansAreReaped(t *testing.T) {
	c := newContainer(t, Config{})
	sh(t, c, "mkfifo /tmp/go")
	pid := sh(t, c, "(read x </tmp/go) >/dev/null 2>&1 & echo $!")
	if parent := sh(t, c, "grep PPid /proc/"+pid+"/status"); parent != "PPid:\t1" {
		t.Errorf("an orphan has %s", parent)
	}
	sh(t, c, "echo >/tmp/go; while [ -d /proc/"+pid+" ]; do :; done")

	// A process that is a zombie already when its parent ends.
	sh(t, c, "mkfifo /tmp/hold")
	parent, err := c.Spawn(Process{Args: []string{"sh", "-c", "(read x </tmp/go) & echo $!; exec cat /tmp/hold"}})
	mustDo(t, err)
	line := make([]byte, 16)
	n, err := parent.Stdout.Read(line)
	mustDo(t, err)
	pid = strings.TrimSpace(string(line[:n]))
	sh(t, c, "echo >/tmp/go; until grep -q 'State:.*Z' /proc/"+pid+"/status; do :; done; echo >/tmp/hold")
	collect(t, parent)
	sh(t, c, "while [ -d /proc/"+pid+" ]; do :; done")
}

func TestUsage(t *testing.T) {
	c := newContainer(t, Config{})
	child, err := c.Spawn(Process{Args: []string{"sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"}})
	mustDo(t, err)
	collect(t, child)
	if u := child.Usage(); u.UserTime <= 0 || u.MaxMemory < 64<<10 {
		t.Errorf("got %+v", u)
	}
}

// TestEndGroup: what a command has left in its process group ends with it, if that
// is wanted.
func TestEndGroup(t *testing.T) {
	c := newContainer(t, Config{})
	const script = "sleep 1000 & echo started; read line"
	child, err := c.Spawn(Process{Args: []string{"sh", "-c", script}, Stdin: true})
	mustDo(t, err)
	child.EndGroup()
	child.Stdin.Close()
	// It ends when nobody holds the output open any more.
	if r := collect(t, child); r.stdout != "started\n" {
		t.Errorf("got %+v", r)
	}
}

func TestLimitsNeedCgroup(t *testing.T) {
	c := newContainer(t, Config{})
	_, err := c.Spawn(Process{Args: []string{"true"}, Limits: Limits{PIDs: 5}})
	if !errors.Is(err, protocol.KindUnsupported) {
		t.Errorf("got %v", err)
	}
}
