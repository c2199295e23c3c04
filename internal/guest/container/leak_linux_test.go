package container

import (
	"context"
	"errors"
	"os"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// openFiles counts the open files of the test.
func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	mustDo(t, err)
	return len(entries)
}

func TestNothingLeaks(t *testing.T) {
	root := newRoot(t)
	newContainer(t, Config{Root: root}).Kill() // what the runtime opens once is open now
	before := openFiles(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())

	c := newContainer(t, Config{Root: root, Cgroup: newCgroup(t)})
	for range 20 {
		runTrue(t, c)
		runProcess(t, c, Process{Args: []string{"true"}, TTY: true, User: "ada"})
		for _, p := range []Process{
			{Args: []string{"nope"}, Stdin: true},
			{Args: []string{"true"}, User: "eve"},
			{Args: []string{"true"}, Dir: "/nope"},
			{Args: []string{"nope"}, TTY: true, Stdin: true},
			{Args: []string{"a\x00b"}},
		} {
			if _, err := c.Spawn(p); err == nil {
				t.Errorf("%+v started", p)
			}
		}
	}
	child, err := c.Spawn(Process{Args: []string{"cat"}, Stdin: true})
	mustDo(t, err)
	c.Kill()
	if status := child.Wait(); status.Signal == 0 {
		t.Errorf("a process outlived its container: %+v", status)
	}
	collect(t, child)
	child.Stdin.Close()
	if after := openFiles(t); after != before {
		t.Errorf("%d open files, %d before", after, before)
	}
}

func TestNewFails(t *testing.T) {
	root := newRoot(t)
	newContainer(t, Config{Root: root}).Kill()
	before := openFiles(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())

	_, err := New(context.Background(), Config{Root: root + "/nope"})
	if !errors.Is(err, protocol.KindInternal) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing root: %v", err)
	}
	if _, err = New(context.Background(), Config{Root: root, Cgroup: "/nope"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing cgroup: %v", err)
	}
	writeFile(t, root, "file", "")
	if _, err = New(context.Background(), Config{Root: root, Dir: "/file/dir"}); !errors.Is(err, protocol.KindInvalidArgument) {
		t.Errorf("impossible folder: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err = New(ctx, Config{Root: root}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d open files, %d before", after, before)
	}
}

// TestKillWhileSpawning: whatever is about to start ends or fails with the
// container.
func TestKillWhileSpawning(t *testing.T) {
	root := newRoot(t)
	for range 10 {
		c := newContainer(t, Config{Root: root})
		var wg sync.WaitGroup
		spawned := make(chan struct{}, 1000)
		for range 20 {
			wg.Go(func() {
				for {
					child, err := c.Spawn(Process{Args: []string{"true"}})
					if err != nil {
						if !errors.Is(err, protocol.KindStopped) {
							t.Errorf("got %v", err)
						}
						return
					}
					collect(t, child)
					select {
					case spawned <- struct{}{}:
					default:
					}
				}
			})
		}
		<-spawned
		c.Kill()
		<-c.Done()
		wg.Wait()
	}
}

// TestInitEnds: without its init the container is over, even if nobody asked.
func TestInitEnds(t *testing.T) {
	c := newContainer(t, Config{})
	child, err := c.Spawn(Process{Args: []string{"cat"}, Stdin: true})
	mustDo(t, err)
	defer child.Stdin.Close()
	mustDo(t, c.init.Signal(syscall.SIGKILL))
	<-c.Done()
	collect(t, child)
	if _, err := c.Spawn(Process{Args: []string{"true"}}); !errors.Is(err, protocol.KindStopped) {
		t.Errorf("got %v", err)
	}
}
