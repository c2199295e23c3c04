package proxy

import (
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// maxExact is the longest body of an answer that keeps its length when something in it is
// replaced. It is not sent on before all of it is there.
const maxExact = 64 << 10

// errOpaque is that an answer can't be looked into.
var errOpaque = errors.New("it answered in an encoding that was not asked for, in which the secret's value could not be found")

// masked puts placeholders into an answer in the place of values, and returns its body.
func (e *exchange) masked(res *http.Response) (io.Reader, error) {
	for _, values := range res.Header {
		for i, v := range values {
			values[i] = e.mask(v)
		}
	}
	hasNone := e.in.Method == http.MethodHead || res.StatusCode == http.StatusNoContent || res.StatusCode == http.StatusNotModified
	if hasNone || res.ContentLength == 0 {
		return res.Body, nil
	}
	body := io.Reader(res.Body)
	switch strings.ToLower(strings.Join(res.Header["Content-Encoding"], ",")) {
	case "", "identity":
	case "gzip", "x-gzip": // though it was not asked for
		body = &unzipping{from: res.Body}
		res.Header.Del("Content-Encoding")
		res.Header.Del("Content-Length")
		res.ContentLength = -1
	default:
		return nil, errOpaque
	}
	replacer := e.secrets.mask
	if res.ContentLength < 0 || res.ContentLength > maxExact {
		res.ContentLength = -1
		res.Header.Del("Content-Length")
		return replacer.Reader(body), nil
	}
	all := make([]byte, res.ContentLength)
	if _, err := io.ReadFull(body, all); err != nil {
		return nil, err
	}
	text := string(all)
	if replacer.Found(text) {
		text = replacer.String(text)
		res.Header.Set("Content-Length", strconv.Itoa(len(text)))
		res.ContentLength = int64(len(text))
	}
	// The end has to be seen for the connection to be used again.
	return io.MultiReader(strings.NewReader(text), res.Body), nil
}

// unzipping decompresses from the first read on: until then, the server may not have sent
// anything.
type unzipping struct {
	from io.Reader
	zip  *gzip.Reader
}

// Read reads what was compressed.
func (u *unzipping) Read(b []byte) (int, error) {
	if u.zip == nil {
		zip, err := gzip.NewReader(u.from)
		if errors.Is(err, io.EOF) {
			return 0, io.EOF // nothing at all is compressed to nothing
		}
		if err != nil {
			return 0, err
		}
		u.zip = zip
	}
	return u.zip.Read(b)
}
