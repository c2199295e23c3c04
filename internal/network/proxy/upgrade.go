package proxy

import (
	"io"
	"net/http"
	"sync"

	"github.com/boxlite-go/boxlite/internal/network/proxy/substitute"
)

// upgrade sends on a request that asks for another protocol, and speaks that if the
// server agrees.
func (e *exchange) upgrade(kind string) {
	e.out.Header.Set("Connection", "Upgrade")
	e.out.Header["Upgrade"] = e.in.Header["Upgrade"]
	res, err := e.transport().RoundTrip(e.out)
	if err != nil {
		e.fail(err)
		return
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusSwitchingProtocols {
		e.respond(res)
		return
	}
	server, ok := res.Body.(io.ReadWriteCloser)
	if !ok {
		e.fail(io.ErrUnexpectedEOF)
		return
	}
	for _, values := range res.Header {
		for i, v := range values {
			values[i] = e.mask(v)
		}
	}
	guest, buffered, err := http.NewResponseController(e.w).Hijack()
	if err != nil {
		e.fail(err)
		return
	}
	defer guest.Close()
	res.Body = nil
	if err := res.Write(guest); err != nil {
		return
	}
	var wait sync.WaitGroup
	direction := func(copy func() error) {
		wait.Go(func() {
			if err := copy(); err != nil {
				e.session.proxy.log.Debug("connection ended", "host", fit(e.name), "protocol", fit(kind))
			}
			guest.Close()
			server.Close()
		})
	}
	direction(func() error { return e.frames(server, buffered.Reader, kind, true) })
	direction(func() error { return e.frames(guest, server, kind, false) })
	wait.Wait()
}

// frames copies one direction of another protocol. The messages of a WebSocket are looked
// into; of what else there is, only what the server says.
func (e *exchange) frames(to io.Writer, from io.Reader, kind string, isGuests bool) error {
	if e.secrets != nil {
		switch {
		case kind == "websocket" && isGuests:
			return substitute.Frames(to, from, true, e.secrets.plain)
		case kind == "websocket":
			return substitute.Frames(to, from, false, e.secrets.mask)
		case !isGuests:
			from = e.secrets.mask.Reader(from)
		}
	}
	_, err := io.Copy(to, from)
	return err
}
