package proxy

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
)

// exchange is a request, and its answer.
type exchange struct {
	session *session
	name    string
	secrets *substitution // nil if there are none for the host
	w       http.ResponseWriter
	in, out *http.Request

	held  int64             // what of the proxy's memory is used
	extra map[string]string // what became of credentials, to what they were
}

// release gives back what was held.
func (e *exchange) release() {
	if e.held > 0 {
		e.session.proxy.memory.Release(e.held)
		e.held = 0
	}
}

// transport returns the one for the request's version of HTTP.
func (e *exchange) transport() *http.Transport {
	if e.in.ProtoMajor == 2 {
		return e.session.upstream.http2
	}
	return e.session.upstream.http1
}

// forward sends the request on, and passes on the answer.
func (e *exchange) forward() {
	informed := &informing{exchange: e}
	ctx := httptrace.WithClientTrace(e.in.Context(), &httptrace.ClientTrace{Got1xxResponse: informed.pass})
	res, err := e.transport().RoundTrip(e.out.WithContext(ctx))
	informed.end()
	if err != nil {
		e.fail(err)
		return
	}
	defer res.Body.Close()
	e.respond(res)
}

// fail answers a request that the server did not.
func (e *exchange) fail(err error) {
	if e.in.Context().Err() != nil {
		panic(http.ErrAbortHandler) // there is nobody to answer
	}
	why := reason(err)
	if errors.Is(err, errUnfit) || errors.Is(err, errOpaque) {
		why = err.Error()
	}
	host := e.name
	if host == "" {
		host = e.in.Host
	}
	e.session.proxy.log.Debug("request failed", "host", fit(host), "why", why)
	e.session.answer(e.w, e.in, http.StatusBadGateway, "request to "+fit(host)+" failed: "+why)
}

// respond passes on the answer of the server.
func (e *exchange) respond(res *http.Response) {
	announced := len(res.Trailer)
	removeHopByHop(res.Header)
	header := e.w.Header()
	body := io.Reader(res.Body)
	if e.secrets != nil {
		var err error
		if body, err = e.masked(res); err != nil {
			e.fail(err)
			return
		}
	}
	maps.Copy(header, res.Header)
	for _, key := range []string{"Date", "Content-Type"} {
		if _, ok := header[key]; !ok {
			header[key] = nil // net/http would make one up
		}
	}
	for key := range res.Trailer {
		header.Add("Trailer", key)
	}
	e.w.WriteHeader(res.StatusCode)
	if err := e.copy(body, res.ContentLength < 0); err != nil {
		panic(http.ErrAbortHandler) // so that the guest finds out that something is missing
	}
	for key, values := range res.Trailer {
		if announced != len(res.Trailer) {
			key = http.TrailerPrefix + key
		}
		for _, v := range values {
			header.Add(key, e.mask(v))
		}
	}
}

var copyBuffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// copy passes on a body as it comes.
func (e *exchange) copy(body io.Reader, isStream bool) error {
	control := http.NewResponseController(e.w)
	if isStream {
		if err := control.Flush(); err != nil {
			return err
		}
	}
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	for {
		n, err := body.Read(*buf)
		if n > 0 {
			if _, err := e.w.Write((*buf)[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := control.Flush(); err != nil {
			return err
		}
	}
}

// informing passes on informational answers, which come in another goroutine. That the
// server waits for the body is none of them: the guest is told so when the body is read.
type informing struct {
	exchange *exchange
	mu       sync.Mutex
	ended    bool
}

func (i *informing) pass(code int, from textproto.MIMEHeader) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.ended || code == http.StatusContinue {
		return nil
	}
	header := i.exchange.w.Header()
	for key, values := range from {
		for _, v := range values {
			header.Add(key, i.exchange.mask(v))
		}
	}
	i.exchange.w.WriteHeader(code)
	clear(header)
	return nil
}

// end is when there may be none any more.
func (i *informing) end() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.ended = true
}

// mask replaces values in a line of an answer.
func (e *exchange) mask(text string) string {
	if e.secrets == nil {
		return text
	}
	for value, placeholder := range e.extra {
		text = strings.ReplaceAll(text, value, placeholder)
	}
	return e.secrets.mask.String(text)
}
