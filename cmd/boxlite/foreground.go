package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/boxlite-go/boxlite"
)

// interruptsToLeave is how often Ctrl-C has to be pressed to leave a command
// that does not mind it.
const interruptsToLeave = 3

func (a *app) needTerminal() error {
	if _, ok := terminal(a.stdin); ok {
		return nil
	}
	return &boxlite.Error{
		Kind: boxlite.ErrInvalidArgument, Err: errors.New("the input device is not a TTY"),
		Hint: "leave out -t where standard input is not a terminal",
	}
}

// startForeground starts a command whose streams are this process's. On a terminal,
// the detach keys leave it.
func (a *app) startForeground(ctx context.Context, c *boxlite.Command, detachKeys []byte) error {
	c.Stdout, c.Stderr = a.stdout, a.stderr
	if fd, ok := terminal(a.stdin); ok && c.TTY {
		if cols, rows, err := term.GetSize(fd); err == nil {
			c.Rows, c.Cols = rows, cols
		}
		if c.Stdin != nil {
			a.raw = make(chan struct{})
			c.Stdin = &gatedReader{in: c.Stdin, open: a.raw}
		}
		if c.Stdin != nil && len(detachKeys) > 0 {
			c.Stdin = &detachReader{in: c.Stdin, keys: detachKeys, detach: func() { _ = c.Detach() }} // it has started
		}
	}
	return c.Start(ctx)
}

// gatedReader reads nothing before open is closed: what is typed before the terminal
// is raw is left to it, rather than passed on line by line.
type gatedReader struct {
	in   io.Reader
	open <-chan struct{}
}

// Read implements io.Reader.
func (r *gatedReader) Read(p []byte) (int, error) {
	<-r.open
	return r.in.Read(p)
}

// waitForeground waits for the command and passes on to it what the terminal and
// other processes tell this one. Its exit code becomes that of boxlite.
func (a *app) waitForeground(c *boxlite.Command) error {
	a.forwardSignals(c)
	defer a.onSignal.Store(nil)
	if fd, ok := terminal(a.stdin); ok && c.TTY {
		defer followSize(fd, c)()
		if c.Stdin != nil {
			state, err := term.MakeRaw(fd)
			if err != nil {
				return err
			}
			defer term.Restore(fd, state)
			close(a.raw)
		}
	}
	err := c.Wait()
	if exit, ok := errors.AsType[*boxlite.ExitError](err); ok && exit.TimedOut {
		return &exitError{exitTimedOut, exit}
	}
	if exit, ok := errors.AsType[*boxlite.ExitError](err); ok {
		return &exitError{code: exit.Code}
	}
	if errors.Is(err, syscall.EPIPE) {
		return &exitError{code: 128 + int(syscall.SIGPIPE)} // as from a command of this host
	}
	return err
}

// forwardSignals sends the command the signals that this process gets.
func (a *app) forwardSignals(c *boxlite.Command) {
	interrupts := 0
	forward := func(sig os.Signal) {
		switch sig {
		case syscall.SIGPIPE:
			return
		case syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT:
			a.told.Store(true)
		case os.Interrupt:
			a.told.Store(true)
			if interrupts++; interrupts == interruptsToLeave {
				a.cancel(errInterrupted)
				return
			}
		}
		go func() { _ = c.Signal(sig) }() // one that has ended needs none
	}
	a.onSignal.Store(&forward)
}

// followSize gives the command's terminal the size of this one, whenever that
// changes, until the returned function is called.
func followSize(fd int, c *boxlite.Command) (stop func()) {
	changes := make(chan os.Signal, 1)
	signal.Notify(changes, unix.SIGWINCH)
	go func() {
		for range changes {
			if cols, rows, err := term.GetSize(fd); err == nil {
				_ = c.Resize(rows, cols) // one that has ended has no size
			}
		}
	}()
	return func() {
		signal.Stop(changes)
		close(changes)
	}
}
