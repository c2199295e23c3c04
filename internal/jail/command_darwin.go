package jail

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// sandboxExec is the system's program that starts others in a sandbox.
const sandboxExec = "/usr/bin/sandbox-exec"

// Command is a program that runs in a jail, or is to. It is used by one goroutine, but
// for Kill.
type Command struct{ cmd *exec.Cmd }

// Command returns a program that is to run in the jail.
func (p Plan) Command(process Process) (*Command, error) {
	if process.Self != "" {
		return nil, &protocol.Error{
			Kind: protocol.KindEngine, Op: "start " + process.Self, Err: errors.New("this system has no VMM of our own"),
		}
	}
	cmd := &exec.Cmd{
		Path: process.Program, Args: append([]string{process.Program}, process.Args...),
		Env: []string{}, Dir: "/", Stderr: process.Stderr, ExtraFiles: process.Files,
		SysProcAttr: &syscall.SysProcAttr{Setsid: true}, WaitDelay: time.Second,
	}
	if p.Has(Sandbox) {
		profile, err := Profile(follow(process.Program), followAll(process.Read), followAll(process.Devices))
		if err != nil {
			return nil, &protocol.Error{Kind: protocol.KindEngine, Op: "build the jail, layer sandbox-exec", Err: err}
		}
		cmd.Path = sandboxExec
		cmd.Args = append([]string{sandboxExec, "-p", profile}, cmd.Args...)
	}
	return &Command{cmd}, nil
}

// Start starts the process, unless ctx has ended.
func (c *Command) Start(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return c.cmd.Start()
}

// Wait waits until the program has ended.
func (c *Command) Wait() error { return c.cmd.Wait() }

// Close does nothing: there is nothing beside the process.
func (c *Command) Close() error { return nil }

// Kill ends the program at once, if it still runs.
func (c *Command) Kill() error {
	if err := c.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// PID returns the process ID, once it is started.
func (c *Command) PID() int { return c.cmd.Process.Pid }

// OutOfMemory reports false: macOS does not tell.
func (c *Command) OutOfMemory() bool { return false }

// Seal does nothing yet: see the package's comment.
func (p Plan) Seal(string, Reach) error { return nil }

// RemoveCgroups has nothing to remove.
func RemoveCgroups([]string) error { return nil }

func cgroupDirs([]string, string) []string { return nil }

func probe(context.Context, string) (Support, error) {
	if _, err := os.Stat(sandboxExec); err != nil {
		return Support{Missing: []Missing{{Layer: Sandbox, Reason: err.Error()}}}, nil
	}
	return Support{Layers: []Layer{Sandbox}}, nil
}

// Main is for Linux.
func Main() int { return 2 }

// ProgramFiles returns what a program that is installed in the usual way needs to
// read: shared libraries, and its own data in share folders with the given names.
func ProgramFiles(program string, share ...string) []string {
	prefix := filepath.Dir(filepath.Dir(follow(program)))
	files := []string{"/System/Library", "/usr/lib", filepath.Join(prefix, "lib")}
	// Homebrew keeps each package in a folder of its own.
	for _, store := range []string{"/opt/homebrew", "/usr/local/Cellar", "/usr/local/opt", "/nix/store"} {
		if _, err := os.Stat(store); err == nil {
			files = append(files, store)
		}
	}
	for _, name := range share {
		files = append(files, filepath.Join(prefix, "share", name))
	}
	return files
}

// follow resolves symbolic links, as far as a path is there.
func follow(path string) string {
	if followed, err := filepath.EvalSymlinks(path); err == nil {
		return followed
	}
	return path
}

func followAll(paths []string) []string {
	followed := make([]string, 0, len(paths))
	for _, p := range paths {
		followed = append(followed, follow(p))
	}
	return followed
}
