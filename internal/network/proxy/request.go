package proxy

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/boxlite-go/boxlite/internal/network/proxy/substitute"
)

const (
	// maxBuffered is the longest body that keeps its length when something in it is
	// replaced; of longer ones, the length is not told any more.
	maxBuffered = 1 << 20
	// maxHeld is how much of them all of a box's requests may hold at one time.
	maxHeld = 64 << 20
)

// prepare makes the request for the server.
func (e *exchange) prepare() error {
	in := e.in
	target := *in.URL
	target.Scheme, target.Host, target.User = "http", e.session.flow.Addr.String(), nil
	if e.session.tls {
		target.Scheme = "https"
	} else if e.name != "" { // each name has connections of its own: see nameIn
		target.Host = net.JoinHostPort(e.name, strconv.Itoa(int(e.session.flow.Addr.Port())))
	}
	e.out = (&http.Request{
		Method: in.Method, URL: &target, Host: in.Host, Header: in.Header.Clone(),
		Body: in.Body, ContentLength: in.ContentLength, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(in.Context())
	header := e.out.Header
	takesTrailers := httpguts.HeaderValuesContainsToken(in.Header["Te"], "trailers")
	removeHopByHop(header)
	if takesTrailers {
		header.Set("Te", "trailers")
	}
	if _, ok := header["User-Agent"]; !ok {
		header["User-Agent"] = []string{""} // net/http would name itself
	}
	for key := range in.Trailer {
		if e.out.Trailer == nil {
			e.out.Trailer = make(http.Header)
		}
		e.out.Trailer[key] = nil
	}
	if e.secrets != nil {
		if err := e.reveal(); err != nil {
			return err
		}
	}
	if in.Trailer != nil && e.out.Body != nil && e.out.Body != http.NoBody {
		e.out.Body = &trailing{ReadCloser: e.out.Body, exchange: e}
	}
	return nil
}

// reveal puts values into the request.
func (e *exchange) reveal() error {
	header := e.out.Header
	for _, values := range header {
		for i, v := range values {
			values[i] = e.revealHeader(v)
			if !httpguts.ValidHeaderFieldValue(values[i]) {
				return errUnfit
			}
		}
	}
	header.Set("Accept-Encoding", "identity") // else values could not be found
	header.Del("Sec-Websocket-Extensions")
	e.secrets.revealURL(e.out.URL)
	return e.revealBody()
}

// revealHeader puts values into a line of a header, and into basic authentication.
func (e *exchange) revealHeader(text string) string {
	const basic = "basic "
	if len(text) > len(basic) && strings.EqualFold(text[:len(basic)], basic) {
		encoded := strings.TrimSpace(text[len(basic):])
		decoded, err := base64.StdEncoding.DecodeString(encoded)
		if err == nil && e.secrets.plain.Found(string(decoded)) {
			revealed := base64.StdEncoding.EncodeToString([]byte(e.secrets.plain.String(string(decoded))))
			if e.extra == nil {
				e.extra = make(map[string]string)
			}
			e.extra[revealed] = encoded
			return text[:len(basic)] + revealed
		}
	}
	return e.secrets.plain.String(text)
}

// revealURL puts values into a path and a query, whichever characters of the placeholder
// are escaped there. What has none stays as it is written.
func (s *substitution) revealURL(u *url.URL) {
	escaped := u.EscapedPath()
	if path := replaceTokens(s.path.String(escaped), "/", s.plain, url.PathUnescape, url.PathEscape); path != escaped {
		if unescaped, err := url.PathUnescape(path); err == nil {
			u.Path, u.RawPath = unescaped, path
		}
	}
	u.RawQuery = replaceTokens(s.query.String(u.RawQuery), "&=", s.plain, url.QueryUnescape, url.QueryEscape)
}

// replaceTokens replaces in what is between separators, unescaped.
func replaceTokens(text, separators string, r *substitute.Replacer, unescape func(string) (string, error), escape func(string) string) string {
	if !strings.Contains(text, "%") {
		return text
	}
	var b strings.Builder
	for {
		end := strings.IndexAny(text, separators)
		token := text
		if end >= 0 {
			token = text[:end]
		}
		if plain, err := unescape(token); err == nil && r.Found(plain) {
			token = escape(r.String(plain))
		}
		b.WriteString(token)
		if end < 0 {
			return b.String()
		}
		b.WriteByte(text[end])
		text = text[end+1:]
	}
}

// revealBody puts values into the body, in the way that its type asks for.
func (e *exchange) revealBody() error {
	out := e.out
	if out.Body == nil || out.Body == http.NoBody || out.ContentLength == 0 {
		return nil
	}
	if out.Header.Get("Content-Encoding") != "" && !strings.EqualFold(out.Header.Get("Content-Encoding"), "identity") {
		return nil
	}
	replacer := e.secrets.inBody(out.Header.Get("Content-Type"))
	size := out.ContentLength
	if size < 0 || size > maxBuffered || !e.session.proxy.memory.TryAcquire(size) {
		out.Body = &replaced{Reader: replacer.Reader(out.Body), Closer: out.Body}
		out.ContentLength = -1
		return nil
	}
	e.held += size
	body := make([]byte, size)
	if _, err := io.ReadFull(out.Body, body); err != nil {
		return errors.Join(errGuest, err)
	}
	// The end has to be seen for trailers to be there, and what follows is none of ours.
	if _, err := io.Copy(io.Discard, out.Body); err != nil {
		return errors.Join(errGuest, err)
	}
	if replacer.Found(string(body)) {
		body = []byte(replacer.String(string(body)))
	}
	out.Header.Del("Expect") // the guest was told to go on
	out.ContentLength = int64(len(body))
	out.Body = io.NopCloser(bytes.NewReader(body))
	out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	return nil
}

var errGuest = errors.New("the body of the request did not come")

// inBody returns what is replaced in a body of a type.
func (s *substitution) inBody(contentType string) *substitute.Replacer {
	kind, _, err := mime.ParseMediaType(contentType)
	switch {
	case err != nil:
		return s.plain
	case kind == "application/x-www-form-urlencoded":
		return s.query
	case kind == "application/json" || strings.HasSuffix(kind, "+json"):
		return s.json
	}
	return s.plain
}

// replaced is a body in which something is replaced.
type replaced struct {
	io.Reader
	io.Closer
}

// trailing is a body that has its trailers passed on at its end.
type trailing struct {
	io.ReadCloser
	exchange *exchange
}

// Read reads the body.
func (t *trailing) Read(b []byte) (int, error) {
	n, err := t.ReadCloser.Read(b)
	if errors.Is(err, io.EOF) {
		e := t.exchange
		for key, values := range e.in.Trailer {
			var revealed []string
			for _, v := range values {
				if e.secrets != nil {
					v = e.revealHeader(v)
				}
				if !httpguts.ValidHeaderFieldValue(v) {
					return n, errUnfit
				}
				revealed = append(revealed, v)
			}
			e.out.Trailer[key] = revealed
		}
	}
	return n, err
}
