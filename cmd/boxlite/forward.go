package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/boxlite-go/boxlite"
)

func (a *app) forwardCommand() *cobra.Command {
	var reverse bool
	var format string
	c := &cobra.Command{
		Use:   "forward [flags] BOX LOCAL:REMOTE...",
		Short: "Forward ports and Unix sockets into a box, or out of it",
		Long: `Forward listens on LOCAL, on this host, and connects whoever comes to REMOTE in a
box, until Ctrl-C. A box that does not run is started when someone comes. With
--reverse it listens on REMOTE in the box, which is started at once, and connects to
LOCAL.

LOCAL is PORT, ADDRESS:PORT or unix:PATH, and REMOTE is PORT or unix:PATH; a port
without an address is one of the loopback. Where it listens, port 0 means any that
is free. One line for each forward tells where that is.

Nothing of this needs a network in the box, and the rules of its network don't
matter to it. Ports that are published, with -p, last as long as the box runs.`,
		Example: `  boxlite forward web 8080:80
  boxlite forward db unix:/tmp/db.sock:unix:/run/postgresql/.s.PGSQL.5432
  boxlite forward --reverse web 5000:5000`,
		Args:              cobra.MinimumNArgs(2),
		ValidArgsFunction: a.boxArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkFormat(format, "text", "json"); err != nil {
				return err
			}
			var specs []forwardSpec
			for _, text := range args[1:] {
				spec, err := parseForward(text)
				if err != nil {
					return err
				}
				if to := spec.dialed(reverse); to.hasPort("0") {
					return usagef("can't forward %q: nobody listens on port 0", text)
				}
				specs = append(specs, spec)
			}
			return a.withBox(c.Context(), args[0], func(box *boxlite.Box) error {
				return a.forward(c.Context(), box, specs, reverse, format)
			})
		},
	}
	c.Flags().BoolVarP(&reverse, "reverse", "R", false, "listen in the box, and connect to this host")
	formatsFlag(c, &format, "text", "json")
	return c
}

// forwarder is one forward at work.
type forwarder struct {
	Listening string `json:"listening"` // where
	To        string `json:"to"`
	Reverse   bool   `json:"reverse"`

	listener net.Listener
	dial     func(context.Context) (net.Conn, error)
	warn     func(error)
}

// forward serves all forwards until the first fails, or ctx ends.
func (a *app) forward(ctx context.Context, box *boxlite.Box, specs []forwardSpec, reverse bool, format string) error {
	var all []*forwarder
	defer func() {
		for _, f := range all {
			f.listener.Close()
		}
	}()
	var warning sync.Mutex
	for _, spec := range specs {
		f, err := listenFor(ctx, box, spec, reverse)
		if err != nil {
			return err
		}
		f.warn = func(err error) {
			warning.Lock()
			defer warning.Unlock()
			fmt.Fprintln(a.stderr, "warning:", err)
		}
		all = append(all, f)
	}
	for _, f := range all {
		if err := a.writeForward(f, format); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var running sync.WaitGroup
	for _, f := range all {
		running.Go(func() { cancel(f.serve(ctx)) })
		context.AfterFunc(ctx, func() { f.listener.Close() })
	}
	running.Wait()
	return context.Cause(ctx)
}

func (a *app) writeForward(f *forwarder, format string) error {
	if format == "json" {
		return json.NewEncoder(a.stdout).Encode(f)
	}
	_, err := fmt.Fprintf(a.stdout, "%s -> %s\n", f.Listening, f.To)
	return err
}

func listenFor(ctx context.Context, box *boxlite.Box, spec forwardSpec, reverse bool) (*forwarder, error) {
	if reverse {
		l, err := box.Listen(ctx, spec.remote.network, spec.remote.address)
		if err != nil {
			return nil, err
		}
		return &forwarder{
			Listening: endpoint{spec.remote.network, l.Addr().String()}.String(), To: spec.local.String(), Reverse: true, listener: l,
			dial: func(ctx context.Context) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, spec.local.network, spec.local.address)
			},
		}, nil
	}
	l, err := listenHere(ctx, spec.local)
	if err != nil {
		return nil, &boxlite.Error{Kind: boxlite.ErrNetwork, Err: err, Hint: "choose another, or 0 for any port that is free"}
	}
	return &forwarder{
		Listening: endpoint{spec.local.network, l.Addr().String()}.String(), To: spec.remote.String(), listener: l,
		dial: func(ctx context.Context) (net.Conn, error) {
			return box.DialContext(ctx, spec.remote.network, spec.remote.address)
		},
	}, nil
}

// listenHere listens on the host. To a Unix socket only its owner may connect, from
// the first moment on.
func listenHere(ctx context.Context, e endpoint) (net.Listener, error) {
	if e.network != "unix" {
		return new(net.ListenConfig).Listen(ctx, e.network, e.address)
	}
	defer restrictMode()()
	l, err := new(net.ListenConfig).Listen(ctx, e.network, e.address)
	if errors.Is(err, syscall.EADDRINUSE) && isStale(ctx, e) && os.Remove(e.address) == nil {
		l, err = new(net.ListenConfig).Listen(ctx, e.network, e.address)
	}
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(e.address, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// isStale reports whether a Unix socket is one that nobody listens on any more.
func isStale(ctx context.Context, e endpoint) bool {
	conn, err := new(net.Dialer).DialContext(ctx, e.network, e.address)
	if err == nil {
		conn.Close()
	}
	info, e2 := os.Lstat(e.address)
	return errors.Is(err, syscall.ECONNREFUSED) && e2 == nil && info.Mode().Type() == os.ModeSocket
}

// serve connects whoever comes, until the listener is closed.
func (f *forwarder) serve(ctx context.Context) error {
	var conns sync.WaitGroup
	defer conns.Wait()
	for {
		conn, err := f.listener.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return err
		}
		conns.Go(func() {
			defer conn.Close()
			to, err := f.dial(ctx)
			if err != nil {
				if ctx.Err() == nil {
					f.warn(err)
				}
				return
			}
			defer to.Close()
			stop := context.AfterFunc(ctx, func() {
				conn.Close()
				to.Close()
			})
			defer stop()
			join(conn, to)
		})
	}
}

// join copies both ways until both sides have ended, or one has broken.
func join(a, b net.Conn) {
	var both sync.WaitGroup
	both.Go(func() { pass(a, b) })
	both.Go(func() { pass(b, a) })
	both.Wait()
}

// pass copies from one to the other, and tells of its end.
func pass(to, from net.Conn) {
	_, err := io.Copy(to, from)
	half, ok := to.(interface{ CloseWrite() error })
	if err == nil && ok && half.CloseWrite() == nil {
		return
	}
	if !errors.Is(err, net.ErrClosed) {
		to.Close()
		from.Close()
	}
}
