package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"

	"github.com/boxlite-go/boxlite/internal/image/flatten"
	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

func newTransport(n Network) *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: n.HeaderTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   n.HeaderTimeout,
		ResponseHeaderTimeout: n.HeaderTimeout,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   parallelLayers,
		IdleConnTimeout:       30 * time.Second,
		// Digests are of what the registry stores, so nothing may be unpacked on the way.
		DisableCompression: true,
	}
}

func isPrivate(host string) bool {
	a, err := netip.ParseAddr(host)
	if err != nil {
		return host == "localhost"
	}
	a = a.Unmap()
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified()
}

// finalError is an error that another attempt would only repeat.
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

func final(err error) bool {
	_, ok := errors.AsType[finalError](err)
	return ok || flatten.DiskFull(err)
}

// retry calls f up to three times.
func (r *remote) retry(ctx context.Context, f func() error) error {
	delay := r.network.RetryDelay
	for attempt := 1; ; attempt++ {
		err := f()
		if err == nil || attempt == 3 || !temporary(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(delay):
		}
		delay *= 3
	}
}

// temporary reports whether the same request may well succeed if it is made
// again. A registry that keeps silent has had its time already.
func temporary(err error) bool {
	if final(err) {
		return false
	}
	if e, ok := errors.AsType[*transport.Error](err); ok {
		return e.StatusCode == http.StatusTooManyRequests || e.StatusCode == http.StatusRequestTimeout || e.StatusCode >= 500
	}
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// explain gives an error of talking to the endpoint its kind and a hint.
func (e *endpoint) explain(err error) error {
	if _, ok := errors.AsType[*protocol.Error](err); ok {
		return err
	}
	host := e.repository.RegistryStr()
	result := &protocol.Error{Kind: protocol.KindImage, Op: "registry " + host, Err: err}
	if status, ok := errors.AsType[*transport.Error](err); ok {
		result.Hint = e.statusHint(status.StatusCode)
		return result
	}
	var netError net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return err
	// The second look is for errors of several attempts in one.
	case errors.As(err, &netError) && netError.Timeout(), errors.Is(err, context.DeadlineExceeded):
		result.Kind = protocol.KindTimeout
		result.Hint = "the registry does not answer; try again later, or check the network and the proxy settings"
	case netError != nil:
		result.Kind = protocol.KindNetwork
		result.Hint = fmt.Sprintf("check that %s is right and can be reached, and the proxy settings", host)
	}
	return result
}

func (e *endpoint) statusHint(status int) string {
	host, repository := e.repository.RegistryStr(), e.repository.RepositoryStr()
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return fmt.Sprintf("check that %s exists; if it is private, log in with `docker login %s`, or as a user who may read it: docker's credentials are used", repository, host)
	case status == http.StatusNotFound:
		return "check the image's name and tag"
	case status == http.StatusTooManyRequests:
		return fmt.Sprintf("the registry limits how much may be pulled; wait a while, log in with `docker login %s`, or set up a mirror", host)
	case status >= 500:
		return "the registry has a problem of its own; try again later, or set up a mirror"
	}
	return ""
}

// guard ends a request whose answer stops coming.
type guard struct {
	cancel  context.CancelCauseFunc
	timer   *time.Timer
	timeout time.Duration
	ctx     context.Context
}

// stalled is the error of a download that stopped coming. It is a net.Error.
type stalled struct{ timeout time.Duration }

func (s stalled) Error() string   { return fmt.Sprintf("no data for %s", s.timeout) }
func (s stalled) Timeout() bool   { return true }
func (s stalled) Temporary() bool { return false }

func newGuard(ctx context.Context, timeout time.Duration) (context.Context, *guard) {
	ctx, cancel := context.WithCancelCause(ctx)
	return ctx, &guard{cancel: cancel, timeout: timeout, ctx: ctx}
}

// reader starts the watch over the answer's body.
func (g *guard) reader(r io.Reader) io.Reader {
	g.timer = time.AfterFunc(g.timeout, func() { g.cancel(stalled{g.timeout}) })
	return guardedReader{g, r}
}

type guardedReader struct {
	guard *guard
	io.Reader
}

func (r guardedReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if n > 0 {
		r.guard.timer.Reset(r.guard.timeout)
	}
	return n, err
}

// cause returns why the request was ended, if the guard did it.
func (g *guard) cause(err error) error {
	if s, ok := errors.AsType[stalled](context.Cause(g.ctx)); ok {
		return s
	}
	return err
}

func (g *guard) stop() {
	if g.timer != nil {
		g.timer.Stop()
	}
	g.cancel(nil)
}
