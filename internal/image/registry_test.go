package image

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	ggcr "github.com/google/go-containerregistry/pkg/v1/remote"
)

// startRegistry runs Debian's docker-registry on a free port, with more lines of
// configuration if need be, and returns its host.
func startRegistry(t *testing.T, config ...string) string {
	t.Helper()
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		t.Skip("docker-registry is not installed: ", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := listener.Addr().String()
	listener.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "config.yml")
	content := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %q}}\nhttp: {addr: %q}\n", dir, host)
	if err := os.WriteFile(file, []byte(content+strings.Join(config, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program, "serve", file)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { command.Wait(); close(exited) }()
	t.Cleanup(func() { command.Process.Kill(); <-exited })
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		if c, err := net.Dial("tcp", host); err == nil {
			c.Close()
			return host
		}
		select {
		case <-exited:
			t.Fatal("docker-registry ended at once")
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Fatal("docker-registry does not answer")
	return ""
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
