package shim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/boxlite-go/boxlite/internal/portal"
	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/protocol/rpc"
)

// Client asks the shim of a running box, and through it the box's agent. Its
// methods may be called concurrently.
type Client struct {
	dir     string
	id      identity
	control *grpc.ClientConn
	guest   *grpc.ClientConn
	// first is the connection by which the shim was found. gRPC closes it only
	// if a call has used it.
	first net.Conn

	// creator is the other end of the shim's standard input, if this process
	// started it; reaped is closed when it has ended.
	creator io.Closer
	reaped  chan struct{}
	once    sync.Once
}

// Connect finds the shim that runs for the box in dir. Without one the error is
// of kind Stopped. One that runs, but has lost its socket or not made it yet, gives
// an error of kind RPCTransport; [Terminate] ends it.
func Connect(ctx context.Context, dir string) (*Client, error) {
	id, err := findShim(dir)
	if err != nil || !id.alive() {
		return nil, &protocol.Error{Kind: protocol.KindStopped, Op: "connect to the box", Err: errors.New("it is not running")}
	}
	if id.Version != protocol.Version {
		return nil, &protocol.Error{
			Kind: protocol.KindUnsupported, Op: "connect to the box",
			Err:  errors.New("it was started by another version of BoxLite"),
			Hint: "stop it with the version that started it, then start it again",
		}
	}
	conn, err := dialUnix(dir, fileSocket)
	if err != nil {
		if !id.alive() {
			return nil, &protocol.Error{Kind: protocol.KindStopped, Op: "connect to the box", Err: err}
		}
		return nil, &protocol.Error{
			Kind: protocol.KindRPCTransport, Op: "connect to the box",
			Err:  fmt.Errorf("it runs, but can't be reached: %w", err),
			Hint: "stop it, then start it again",
		}
	}
	c := &Client{dir: dir, id: id, first: conn}
	c.control, err = newConn(conn, func(context.Context) (net.Conn, error) { return dialUnix(dir, fileSocket) })
	if err != nil {
		_ = conn.Close()
		return nil, &protocol.Error{Kind: protocol.KindRPCTransport, Op: "connect to the box", Err: err}
	}
	c.guest, err = newConn(nil, func(context.Context) (net.Conn, error) { return dialPortal(dir, protocol.PortAgent) })
	if err != nil {
		_ = c.control.Close()
		_ = conn.Close()
		return nil, &protocol.Error{Kind: protocol.KindRPCTransport, Op: "connect to the box", Err: err}
	}
	return c, nil
}

func dialPortal(dir string, port uint32) (net.Conn, error) {
	conn, err := dialUnix(dir, filePortal)
	if err != nil {
		return nil, err
	}
	return portal.DialUnix(conn, port)
}

// dialAgent returns gRPC over a stream to the agent.
func dialAgent(first net.Conn, dial func(context.Context) (net.Conn, error)) (*grpc.ClientConn, error) {
	return newConn(first, dial)
}

// newConn returns gRPC over connections that dial makes. first is used before
// that, if it is not nil.
func newConn(first net.Conn, dial func(context.Context) (net.Conn, error)) (*grpc.ClientConn, error) {
	var mu sync.Mutex
	return grpc.NewClient("passthrough:///box",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			mu.Lock()
			conn := first
			first = nil
			mu.Unlock()
			if conn != nil {
				return conn, nil
			}
			return dial(ctx)
		}),
		grpc.WithInitialWindowSize(1<<20),
		grpc.WithInitialConnWindowSize(1<<20),
		grpc.WithDisableServiceConfig(),
		grpc.WithNoProxy(),
	)
}

// Ready waits until the container runs. The error says at which stage the start
// failed.
func (c *Client) Ready(ctx context.Context) (*boxlitev1.ReadyResponse, error) {
	response, err := boxlitev1.NewShimClient(c.control).Ready(ctx, &boxlitev1.ReadyRequest{})
	if err == nil {
		return response, nil
	}
	err = rpc.FromStatus(err)
	if lost(ctx, err) {
		// The shim ended before it could answer; it may have said why.
		if record, e := ReadExit(c.dir); e == nil && record.GetError() != nil {
			return nil, rpc.FromDetail(record.GetError())
		}
	}
	return nil, err
}

// Status tells what the shim is doing.
func (c *Client) Status(ctx context.Context) (*boxlitev1.StatusResponse, error) {
	response, err := boxlitev1.NewShimClient(c.control).Status(ctx, &boxlitev1.StatusRequest{})
	return response, rpc.FromStatus(err)
}

// Pause stops the machine's CPUs, until Resume.
func (c *Client) Pause(ctx context.Context) error {
	_, err := boxlitev1.NewShimClient(c.control).Pause(ctx, &boxlitev1.PauseRequest{})
	return rpc.FromStatus(err)
}

// Resume lets the machine go on, with its clock set to the host's.
func (c *Client) Resume(ctx context.Context) error {
	_, err := boxlitev1.NewShimClient(c.control).Resume(ctx, &boxlitev1.ResumeRequest{})
	return rpc.FromStatus(err)
}

// Detach lets the box outlive the process that started it.
func (c *Client) Detach(ctx context.Context) error {
	_, err := boxlitev1.NewShimClient(c.control).Detach(ctx, &boxlitev1.DetachRequest{})
	return rpc.FromStatus(err)
}

// Stop ends the box and returns how the run ended, when all is over. Processes
// get grace to end after their stop signal; force ends the machine at once, and
// what the guest has not yet written is lost.
func (c *Client) Stop(ctx context.Context, grace time.Duration, force bool) (*boxlitev1.ExitRecord, error) {
	response, err := boxlitev1.NewShimClient(c.control).Stop(ctx, &boxlitev1.StopRequest{
		GraceMillis: uint32(max(0, grace.Milliseconds())), Force: force,
	})
	if err == nil {
		return response.GetExit(), nil
	}
	err = rpc.FromStatus(err)
	if lost(ctx, err) {
		// It was ending already.
		if record, e := ReadExit(c.dir); e == nil {
			return record, nil
		}
	}
	return nil, err
}

// lost reports whether a call failed because its connection broke, or was closed
// by another who knows that the shim has ended.
func lost(ctx context.Context, err error) bool {
	return errors.Is(err, protocol.KindRPCTransport) || errors.Is(err, context.Canceled) && ctx.Err() == nil
}

// Guest returns a connection to the agent's services: Guest, Container, Execution
// and Files.
func (c *Client) Guest() grpc.ClientConnInterface { return c.guest }

// Alive reports whether the shim's process still runs.
func (c *Client) Alive() bool { return c.id.alive() }

// Ended is closed when the shim's process has ended. It is nil, and so blocks for
// ever, if another process started the shim.
func (c *Client) Ended() <-chan struct{} { return c.reaped }

// Close lets go of the shim. If this process started it for a box that is not
// detached, the box is shut down.
func (c *Client) Close() error {
	var errs []error
	c.once.Do(func() {
		errs = append(errs, c.guest.Close(), c.control.Close())
		_ = c.first.Close()
		if c.creator != nil {
			errs = append(errs, c.creator.Close())
		}
	})
	return errors.Join(errs...)
}
