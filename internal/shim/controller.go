package shim

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/boxlite-go/boxlite/internal/durable"
	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/boxlite-go/boxlite/internal/stage"
)

// Start starts a shim for the box and returns when it can be asked things; the
// machine starts meanwhile. executable is one that calls [Main] when its name is
// [Name]; empty means the running one.
//
// The box's lock must be held, and [Forget] have been called since the last run.
// Unless spec.Detached, the box is shut down when this process ends, or when the
// Client is closed.
func Start(ctx context.Context, executable string, spec Spec) (*Client, error) {
	fail := func(err error) (*Client, error) {
		e := &protocol.Error{Kind: protocol.KindInternal, Op: "start the shim", Box: spec.BoxID, Err: err}
		if durable.IsFull(err) {
			e.Kind, e.Hint = protocol.KindResourceExhausted, durable.HintFull
		}
		return nil, e
	}
	if executable == "" {
		var err error
		if executable, err = os.Executable(); err != nil {
			return fail(err)
		}
	}
	executable, err := filepath.Abs(executable) // the shim works in another folder
	if err != nil {
		return fail(err)
	}
	log, err := os.OpenFile(filepath.Join(spec.Dir, dirLogs, fileShimLog), os.O_RDWR|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return fail(err)
	}
	defer log.Close()
	if err := reserveExit(spec.Dir); err != nil {
		return fail(err)
	}
	cmd := &exec.Cmd{
		Path: executable, Args: []string{Name}, Env: shimEnv(), Dir: "/",
		Stderr: log, SysProcAttr: ownSession(),
	}
	creator, err := cmd.StdinPipe()
	if err != nil {
		return fail(err)
	}
	ready, err := cmd.StdoutPipe()
	if err != nil {
		return fail(err)
	}
	if err := cmd.Start(); err != nil {
		return fail(err)
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	// A shim without an identity does nothing: it has not got its spec.
	if err = writeIdentity(spec.Dir, cmd.Process.Pid, spec.Jail.Cgroups); err == nil {
		stage.Reached("start/spawned", spec.BoxID)
		err = spec.send(creator)
	}
	if err == nil {
		var line string
		line, err = bufio.NewReader(ready).ReadString('\n')
		if err == nil && line != "ready\n" {
			err = fmt.Errorf("%s is not a BoxLite executable: it says %q", executable, strings.TrimSpace(line))
		}
	}
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = Sweep(spec.Dir) // or else the next start does
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if sent, ok := errors.AsType[*protocol.Error](err); ok {
			return nil, sent
		}
		return fail(fmt.Errorf("%w: %s", err, lastLine(log)))
	}
	client, err := Connect(ctx, spec.Dir)
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, err
	}
	client.creator = creator
	client.reaped = make(chan struct{})
	go func() {
		_ = cmd.Wait() // how the run ended is in the exit record
		close(client.reaped)
	}()
	return client, nil
}

// shimEnv is what of the environment a shim needs: nothing but where to find
// programs and put temporary files, and what tests need.
func shimEnv() []string {
	env := []string{}
	for _, key := range []string{"PATH", "TMPDIR", "BOXLITE_QEMU", "GOCOVERDIR", stage.Variable} {
		if value, ok := os.LookupEnv(key); ok {
			env = append(env, key+"="+value)
		}
	}
	return env
}

// lastLine returns the last line of a log, which says why a shim ended.
func lastLine(log io.ReadSeeker) string {
	if _, err := log.Seek(0, io.SeekStart); err != nil {
		return ""
	}
	text, _ := io.ReadAll(io.LimitReader(log, 64<<10))
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return string(lines[len(lines)-1])
}
