package guest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

// putProcess writes what /proc tells of a process.
func putProcess(t *testing.T, proc string, pid, parent int, nspid, comm, cmdline string) {
	t.Helper()
	dir := filepath.Join(proc, fmt.Sprint(pid))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	status := fmt.Sprintf("Name:\tx\nState:\tS (sleeping)\nPPid:\t%d\nUid:\t1000\t0\t0\t0\nNSpid:\t%s\nVmRSS:\t      40 kB\nThreads:\t3\n", parent, nspid)
	stat := fmt.Sprintf("%d (%s) S %d 1 1 0 -1 0 0 0 0 0 150 50 0 0 20 0 3 0 200 1 10 0 0", pid, comm, parent)
	for name, text := range map[string]string{"status": status, "stat": stat, "cmdline": cmdline} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestListProcesses(t *testing.T) {
	proc := t.TempDir()
	putProcess(t, proc, 1, 0, "1", "boxlite-guest", "/init\x00") // the agent
	putProcess(t, proc, 2, 0, "2", "kthreadd", "")
	putProcess(t, proc, 70, 1, "70\t2", "a) R (b\n", "sh\x00-c\x00echo \xff\x00")
	putProcess(t, proc, 71, 70, "71\t3\t1", "inner", strings.Repeat("x", 2*maxArgs))
	putProcess(t, proc, 72, 70, "72\t4", "zombie", "")
	response, err := listProcesses(proc)
	if err != nil || response.GetTruncated() || len(response.GetProcesses()) != 3 {
		t.Fatalf("got %v, %v", response, err)
	}
	sh, inner, zombie := response.Processes[0], response.Processes[1], response.Processes[2]
	if sh.GetPid() != 2 || sh.GetParent() != 0 || sh.GetUid() != 1000 || sh.GetState() != "S" || sh.GetThreads() != 3 ||
		sh.GetMemoryBytes() != 40<<10 || sh.GetCpuNanos() != int64(2*time.Second) || sh.GetName() != "a) R (b\n" ||
		!slices.Equal(sh.GetArgs(), []string{"sh", "-c", "echo ?"}) {
		t.Errorf("got %v", sh)
	}
	if at := time.Unix(0, sh.GetStartedUnixNanos()); at.After(time.Now()) {
		t.Errorf("it starts at %v", at)
	}
	if inner.GetPid() != 3 || inner.GetParent() != 2 || len(inner.GetArgs()) != 1 || len(inner.GetArgs()[0]) != maxArgs+len("…") {
		t.Errorf("got %v", inner)
	}
	if zombie.GetPid() != 4 || len(zombie.GetArgs()) != 0 {
		t.Errorf("got %v", zombie)
	}
}

func FuzzProcess(f *testing.F) {
	f.Add([]byte("State:\tS\nNSpid:\t1\t2\n"), []byte("1 (x) S 1"), []byte("a\x00b"))
	f.Add([]byte("State:\nNSpid: -1 -2\n"), []byte(")("), []byte("\x00\x00"))
	f.Fuzz(func(t *testing.T, status, stat, args []byte) {
		if p, _ := parseStatus(status); p != nil && p.GetPid() == 0 {
			t.Error("a process of the machine is listed")
		}
		parseStat(stat, 0, &boxlitev1.ProcessInfo{})
		size := 0
		for _, arg := range parseArgs(args) {
			size += len(arg)
		}
		if size > maxArgs+len("…") {
			t.Errorf("%d bytes of arguments", size)
		}
	})
}

func TestCounters(t *testing.T) {
	var c counters
	c.started(nil)
	c.started(os.ErrNotExist)
	c.wrote(3)
	c.read(5)
	c.read(-1)
	s := c.stats()
	if s.GetExecuted() != 1 || s.GetErrors() != 1 || s.GetStdinBytes() != 3 || s.GetOutputBytes() != 5 {
		t.Errorf("got %v", s)
	}
}
