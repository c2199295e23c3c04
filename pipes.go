package boxlite

import (
	"context"
	"errors"
	"io"
	"os"

	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/protocol/rpc"
)

// pipes are those between a command and the program, as [Command.StdinPipe] makes
// them. The command's ends are closed when it has ended; ours by Wait, too.
type pipes struct{ theirs, ours []*os.File }

func (p *pipes) add(theirs, ours *os.File) {
	p.theirs, p.ours = append(p.theirs, theirs), append(p.ours, ours)
}

func (p *pipes) closeTheirs() { closeFiles(p.theirs) }
func (p *pipes) closeOurs()   { closeFiles(p.ours) }

func (p *pipes) close() {
	p.closeTheirs()
	p.closeOurs()
}

// closePipes closes the command's ends. That its input ends so is no failure.
func (a *attachment) closePipes() {
	a.mu.Lock()
	a.unread = true
	a.mu.Unlock()
	a.pipes.closeTheirs()
}

// awaitDone waits until the command has ended and all is written. To a pipe that
// nobody reads, it never would be: what a command has not got rid of when a signal,
// or its box's end, ends it is dropped.
func (a *attachment) awaitDone() {
	if len(a.pipes.ours) == 0 {
		<-a.done
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		response, err := a.client.Wait(ctx, &boxlitev1.WaitRequest{Id: a.id})
		status := response.GetStatus()
		switch {
		case ctx.Err() != nil, errors.Is(rpc.FromStatus(err), ErrNotFound): // ended long ago, and forgotten
		case err != nil, status.GetSignal() != 0, status.GetTimedOut():
			a.closePipes()
		}
	}()
	<-a.done
	cancel()
	<-watched
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		_ = f.Close() // the program may have closed its end
	}
}

// StdinPipe returns a pipe to the command's standard input. Closing it is the end
// of the input. Wait closes it as well.
func (c *Command) StdinPipe() (io.WriteCloser, error) {
	if c.Stdin != nil {
		return nil, c.pipeError("Stdin is set already")
	}
	theirs, ours, err := c.pipe()
	if err != nil {
		return nil, err
	}
	c.Stdin = theirs
	c.pipes.add(theirs, ours)
	return ours, nil
}

// StdoutPipe returns a pipe from the command's standard output. Wait closes it when
// the command has ended: call Wait after all has been read. What is unread when a
// signal or a timeout ends the command keeps Wait no longer, and is lost.
func (c *Command) StdoutPipe() (io.ReadCloser, error) { return c.outputPipe(&c.Stdout, "Stdout") }

// StderrPipe returns a pipe from the command's standard error, as
// [Command.StdoutPipe] does.
func (c *Command) StderrPipe() (io.ReadCloser, error) { return c.outputPipe(&c.Stderr, "Stderr") }

func (c *Command) outputPipe(stream *io.Writer, name string) (io.ReadCloser, error) {
	if *stream != nil {
		return nil, c.pipeError(name + " is set already")
	}
	ours, theirs, err := c.pipe()
	if err != nil {
		return nil, err
	}
	*stream = theirs
	c.pipes.add(theirs, ours)
	return ours, nil
}

func (c *Command) pipe() (r, w *os.File, err error) {
	if c.started() != nil {
		return nil, nil, c.pipeError("the command has been started")
	}
	if r, w, err = os.Pipe(); err != nil {
		return nil, nil, &Error{Kind: ErrResourceExhausted, Op: "make a pipe to a command", Err: err}
	}
	return r, w, nil
}

func (c *Command) pipeError(why string) error {
	return &Error{Kind: ErrInvalidState, Op: "make a pipe to a command", Err: errors.New(why)}
}
