package image

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	ggcr "github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/boxlite-go/boxlite/test/registry"
)

// startRegistry runs a registry for one test, with more lines of configuration if
// need be, and returns its host.
func startRegistry(t *testing.T, config ...string) string {
	t.Helper()
	host, stop, err := registry.Start(t.Context(), t.TempDir(), config...)
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return host
}

// push puts an image, or an index of images, into a registry.
func push(t *testing.T, what any, ref string, options ...ggcr.Option) {
	t.Helper()
	r, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	switch what := what.(type) {
	case v1.ImageIndex:
		err = ggcr.WriteIndex(r, what, options...)
	case v1.Image:
		err = ggcr.Write(r, what, options...)
	}
	if err != nil {
		t.Fatal(err)
	}
}

var asAlice = ggcr.WithAuth(&authn.Basic{Username: "alice", Password: "secret"})

// proxy stands before a registry, keeps a list of the requests, and may spoil
// answers.
type proxy struct {
	host string

	mu       sync.Mutex
	requests []*http.Request
}

// startProxy starts a proxy whose answers to requests for blobs break off after
// the number of bytes that cut returns, if it isn't negative and they have more.
func startProxy(t *testing.T, registry string, cut func(*http.Request) int64) *proxy {
	t.Helper()
	p := &proxy{}
	back := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: registry})
	back.ErrorLog = discardLog
	back.ModifyResponse = func(r *http.Response) error {
		if n := cut(r.Request); n >= 0 && n < r.ContentLength && strings.Contains(r.Request.URL.Path, "/blobs/") {
			r.Body = struct {
				io.Reader
				io.Closer
			}{io.MultiReader(io.LimitReader(r.Body, n), broken{}), r.Body}
		}
		return nil
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.requests = append(p.requests, r.Clone(r.Context()))
		p.mu.Unlock()
		back.ServeHTTP(w, r)
	}))
	server.Config.ErrorLog = discardLog
	server.Start()
	t.Cleanup(server.Close)
	p.host = strings.TrimPrefix(server.URL, "http://")
	return p
}

func whole(*http.Request) int64 { return -1 }

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("the connection broke") }

// blobs returns the requests for a blob.
func (p *proxy) blobs(digest string) []*http.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []*http.Request
	for _, r := range p.requests {
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/blobs/"+digest) {
			found = append(found, r)
		}
	}
	return found
}
