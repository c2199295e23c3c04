package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/boxlite-go/boxlite"
)

// Exit codes of boxlite itself. A command's own are passed on.
const (
	exitFailure       = 1
	exitUsage         = 2
	exitTimedOut      = 124 // as of timeout(1)
	exitNotExecutable = 126
	exitNotFound      = 127
	exitInterrupted   = 130
)

// app is what all commands share.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	home, config   string
	trace, debug   bool
	registries     []string

	// ctx ends at Ctrl-C, unless onSignal is set: that then gets the signals.
	ctx      context.Context
	cancel   context.CancelCauseFunc
	signals  chan os.Signal
	onSignal atomic.Pointer[func(os.Signal)]
	// told is set by a signal that asks a command in the foreground to end.
	told atomic.Bool
	// raw is closed when the terminal of a command in the foreground is in raw mode.
	raw chan struct{}
	// ran is set once a command runs: errors before that are of usage.
	ran bool
}

// signalError is why the context ends when a signal asks for it.
type signalError syscall.Signal

// Error says what has come.
func (e signalError) Error() string {
	if e == errInterrupted {
		return "interrupted"
	}
	return "ended by " + syscall.Signal(e).String()
}

// Is reports whether target is [errInterrupted]: one signal is as good as another.
func (e signalError) Is(target error) bool {
	_, ok := target.(signalError)
	return ok
}

// errInterrupted is why the context ends at Ctrl-C.
const errInterrupted = signalError(syscall.SIGINT)

func newApp(stdin io.Reader, stdout, stderr io.Writer) *app {
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr, signals: make(chan os.Signal, 16)}
	a.ctx, a.cancel = context.WithCancelCause(context.Background())
	// With SIGPIPE caught, writing to a closed pipe is an error like any other,
	// which the command in the box can be told of.
	signal.Notify(a.signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT,
		syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGPIPE)
	go func() {
		for sig := range a.signals {
			if handle := a.onSignal.Load(); handle != nil {
				(*handle)(sig)
				continue
			}
			switch sig {
			case syscall.SIGPIPE, syscall.SIGUSR1, syscall.SIGUSR2:
			case syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT:
				a.cancel(signalError(sig.(syscall.Signal)))
			default:
				a.cancel(errInterrupted)
			}
		}
	}()
	return a
}

func (a *app) stopSignals() {
	signal.Stop(a.signals)
	close(a.signals)
}

// open opens the home. Boxes that are started live on after this process.
func (a *app) open() (*boxlite.Runtime, error) { return a.openRuntime(true) }

func (a *app) openRuntime(detach bool) (*boxlite.Runtime, error) {
	options, err := readConfig(a.config)
	if err != nil {
		return nil, err
	}
	options.Detach = detach
	options.Registries = append(a.registries[:len(a.registries):len(a.registries)], options.Registries...)
	if a.home != "" || os.Getenv("BOXLITE_HOME") != "" {
		options.Home = a.home // or the environment's, if this is empty
	}
	if a.debug {
		options.Log = slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	options.OnStart = func(info boxlite.BoxInfo) {
		if info.Isolation.Security == boxlite.SecurityOff {
			fmt.Fprintf(a.stderr, "warning: box %s runs without a jail: --security is off\n", cmp.Or(info.Name, info.ID))
		}
		if a.trace {
			printTrace(a.stderr, info)
		}
	}
	return boxlite.Open(options)
}

// withRuntime opens the home and calls do. Boxes that are started live on after
// this process.
func (a *app) withRuntime(do func(*boxlite.Runtime) error) error {
	rt, err := a.open()
	if err != nil {
		return err
	}
	defer rt.Close()
	return do(rt)
}

// withBox opens the home, and calls do with the box that ref names.
func (a *app) withBox(ctx context.Context, ref string, do func(*boxlite.Box) error) error {
	return a.withRuntime(func(rt *boxlite.Runtime) error {
		box, err := rt.Get(ctx, ref)
		if err != nil {
			return err
		}
		return do(box)
	})
}

// usageError is a wrong command line that only shows when the command runs.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

// exitError ends boxlite with a code, after the message in err, if any.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }
func (e *exitError) Unwrap() error { return e.err }

// report prints an error of a command, and returns the exit code for it.
func (a *app) report(c *cobra.Command, err error) int {
	if err == nil {
		return 0
	}
	if path, ok := errors.AsType[*fs.PathError](err); ok && path.Path == os.Stdout.Name() && errors.Is(path, syscall.EPIPE) {
		return 128 + int(syscall.SIGPIPE) // as a command of this host, which says nothing
	}
	if exit, ok := errors.AsType[*exitError](err); ok {
		if exit.err != nil {
			a.print(exit.err)
		}
		return exit.code
	}
	if _, ok := errors.AsType[*usageError](err); ok || !a.ran {
		fmt.Fprintf(a.stderr, "error: %s\nhint: %s\n", strings.TrimSpace(err.Error()), usageHint(c, err))
		return exitUsage
	}
	a.print(err)
	return codeOf(err)
}

func codeOf(err error) int {
	switch {
	case errors.Is(err, errInterrupted):
		var by signalError
		errors.As(err, &by)
		return 128 + int(by)
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.Is(err, boxlite.ErrExecution) && errors.Is(err, fs.ErrNotExist):
		return exitNotFound
	case errors.Is(err, boxlite.ErrExecution):
		return exitNotExecutable
	}
	return exitFailure
}

// print writes an error, and what to do about it. Joined errors get a line each.
func (a *app) print(err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			a.print(e)
		}
		return
	}
	fmt.Fprintf(a.stderr, "error: %s\n", printableLines(strings.TrimSpace(err.Error())))
	if hint := boxlite.HintOf(err); hint != "" {
		fmt.Fprintf(a.stderr, "hint: %s\n", printableLines(hint))
	}
}

// eachName calls do for all names, and goes on after a failure.
func eachName(names []string, do func(name string) error) error {
	var errs []error
	for _, name := range names {
		errs = append(errs, do(name))
	}
	return errors.Join(errs...)
}

// terminal returns the descriptor of a stream that is a terminal.
func terminal(stream any) (fd int, ok bool) {
	f, ok := stream.(*os.File)
	if !ok {
		return -1, false
	}
	fd = int(f.Fd())
	return fd, term.IsTerminal(fd)
}
