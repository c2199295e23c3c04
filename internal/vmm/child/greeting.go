package child

import (
	"context"
	"errors"
	"io"
	"syscall"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// ErrEnded is that there is no guest any more that could be reached.
var ErrEnded = &protocol.Error{
	Kind: protocol.KindStopped, Op: "reach the guest", Err: errors.New("its virtual machine has ended"),
}

// Greeting is what host and agent say to each other first, in the background.
type Greeting struct {
	over chan struct{}
	err  error // set before over is closed
}

// Greet calls exchange with a context that ends when the program does. A connection that
// ends meanwhile was ended by that, or by the agent, and the guest with it.
func (p *Process) Greet(exchange func(ctx context.Context) error) *Greeting {
	g := &Greeting{over: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer cancel()
		defer close(g.over)
		g.err = exchange(ctx)
		if ctx.Err() != nil || errors.Is(g.err, io.EOF) || errors.Is(g.err, io.ErrUnexpectedEOF) ||
			errors.Is(g.err, syscall.ECONNRESET) || errors.Is(g.err, syscall.EPIPE) {
			g.err = ErrEnded
		}
	}()
	go func() {
		select {
		case <-p.exited:
			cancel()
		case <-g.over:
		}
	}()
	return g
}

// Wait waits until the greeting is over or ctx ends. It returns what exchange did, but
// [ErrEnded] if the machine has ended instead.
func (g *Greeting) Wait(ctx context.Context) error {
	select {
	case <-g.over:
		return g.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
