package container

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// Process says what to run. What is empty comes from the Config.
type Process struct {
	// Args[0] is looked up in the PATH of the process's own environment, as
	// execvp does it.
	Args []string
	// Env is added to the container's; of several values the last counts.
	Env []string
	// Dir must exist in the container.
	Dir string
	// User is name|uid[:group|gid].
	User string
	// TTY gives the process a terminal of Rows × Cols; 0 means 24 × 80.
	TTY        bool
	Rows, Cols uint16
	// Stdin gives the process a pipe to read from; without, it reads from
	// /dev/null. A terminal is readable either way.
	Stdin bool
	// Limits bound it and all that it starts.
	Limits Limits
}

// Spawn starts a process, and returns when execve has succeeded.
//
// The error wraps ENOENT if the command isn't there and EACCES if it may not be
// executed. Spawn may be called by any number of goroutines at once.
func (c *Container) Spawn(process Process) (*Child, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	op := "run"
	if len(process.Args) == 0 || process.Args[0] == "" {
		return nil, &protocol.Error{
			Kind: protocol.KindInvalidArgument, Op: op, Err: errors.New("no command"),
			Hint: "name the command to run",
		}
	}
	op += " " + process.Args[0]
	if c.killed {
		return nil, stopped(op)
	}
	l, err := c.prepare(process)
	if err != nil {
		return nil, withOp(op, err)
	}
	defer l.close()
	child, err := l.launch(c)
	if err != nil && c.over() {
		return nil, stopped(op)
	}
	if err != nil {
		return nil, withOp(op, err)
	}
	return child, nil
}

// withOp names what was tried in an error that may have a kind and a hint.
func withOp(op string, err error) error {
	if _, ok := errors.AsType[*protocol.Error](err); ok {
		return &protocol.Error{Kind: protocol.KindOf(err), Op: op, Hint: protocol.HintOf(err), Err: err}
	}
	return &protocol.Error{Kind: protocol.KindExecution, Op: op, Err: err}
}

// launch is a process that is about to start.
type launch struct {
	args, env []string
	dir       *os.File
	who       identity
	stdio     *stdio
	cgroup    *limited // nil without limits
}

// prepare looks up, in the container, all that a process needs.
func (c *Container) prepare(process Process) (*launch, error) {
	l := &launch{args: process.Args}
	user := process.User
	if user == "" {
		user = c.config.User
	}
	var err error
	if l.who, err = c.lookupUser(user); err != nil {
		return nil, err
	}
	l.env = c.environment(process, l.who)
	if l.dir, err = c.openDir(process.Dir); err != nil {
		return nil, err
	}
	if l.stdio, err = c.openStdio(process, l.who); err != nil {
		l.dir.Close()
		return nil, err
	}
	if l.cgroup, err = c.cgroups.limit(process.Limits); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *launch) close() {
	l.dir.Close()
	l.stdio.close()
	if l.cgroup != nil {
		l.cgroup.release()
	}
}

// lookupUser resolves a user by the container's own files.
func (c *Container) lookupUser(spec string) (identity, error) {
	who, err := c.readUser(spec)
	if _, ok := errors.AsType[*protocol.Error](err); err != nil && !ok {
		err = &protocol.Error{
			Kind: protocol.KindImage, Op: fmt.Sprintf("look up user %q", spec), Err: err,
			Hint: "the box's /etc/passwd and /etc/group must be ordinary files, of 4 MiB at most",
		}
	}
	return who, err
}

// openDir opens the working directory of a process.
func (c *Container) openDir(dir string) (*os.File, error) {
	if dir == "" {
		dir = c.config.Dir
	}
	if !strings.HasPrefix(dir, "/") {
		dir = "/" + dir
	}
	f, err := c.open(dir, unix.O_DIRECTORY|unix.O_PATH)
	if err != nil {
		return nil, &protocol.Error{
			Kind: protocol.KindInvalidArgument, Op: "enter the working directory",
			Hint: fmt.Sprintf("make %s in the box first, or choose another directory", dir), Err: err,
		}
	}
	return f, nil
}

// defaultPath is the PATH of a process that was given none, as Docker's.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environment returns the variables of a process, each once.
func (c *Container) environment(process Process, who identity) []string {
	env := []string{"PATH=" + defaultPath, "HOSTNAME=" + c.config.Hostname}
	if process.TTY {
		env = append(env, "TERM=xterm")
	}
	env = append(env, "HOME="+who.home)
	if len(c.config.CACertificates) > 0 {
		env = append(env, trustEnv...)
	}
	given := slices.Concat(c.config.Env, process.Env)
	index := map[string]int{}
	for i, e := range env {
		name, _, _ := strings.Cut(e, "=")
		index[name] = i
	}
	for _, e := range given {
		name, _, ok := strings.Cut(e, "=")
		if !ok || name == "" || strings.ContainsRune(e, 0) {
			continue
		}
		if i, ok := index[name]; ok {
			env[i] = e
			continue
		}
		index[name] = len(env)
		env = append(env, e)
	}
	return env
}
