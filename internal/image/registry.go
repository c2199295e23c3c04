package image

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// remote is an image in a registry, and where it may be fetched from.
type remote struct {
	ref       name.Reference
	endpoints []*endpoint // mirrors first, the registry itself last
	network   Network
	base      *http.Transport
}

// endpoint is a repository on one host.
type endpoint struct {
	repository name.Repository
	base       http.RoundTripper

	mu     sync.Mutex
	client *http.Client // once logged in
}

func (s *Store) newRemote(ref name.Reference) (*remote, error) {
	r := &remote{ref: ref, network: s.opts.Network, base: newTransport(s.opts.Network)}
	own := ref.Context()
	host := own.RegistryStr()
	if host == name.DefaultRegistry {
		host = "docker.io"
	}
	for _, mirror := range s.opts.Mirrors[host] {
		repository, err := mirrored(own, mirror)
		if err != nil {
			return nil, err
		}
		r.endpoints = append(r.endpoints, &endpoint{repository: repository, base: r.base})
	}
	r.endpoints = append(r.endpoints, &endpoint{repository: own, base: r.base})
	return r, nil
}

// mirrored returns the repository of the same name on a mirror.
func mirrored(own name.Repository, mirror string) (name.Repository, error) {
	var options []name.Option
	host, insecure := strings.CutPrefix(mirror, "http://")
	if insecure {
		options = append(options, name.Insecure)
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "https://"), "/")
	registry, err := name.NewRegistry(host, options...)
	if err != nil {
		return name.Repository{}, fmt.Errorf("mirror %q: %w", mirror, err)
	}
	return registry.Repo(own.RepositoryStr()), nil
}

func (r *remote) close() { r.base.CloseIdleConnections() }

// each calls f with one endpoint after the other until it succeeds. If none does,
// the registry's own error counts.
func (r *remote) each(ctx context.Context, f func(*endpoint) error) error {
	var err error
	for _, e := range r.endpoints {
		if err = r.retry(ctx, func() error { return f(e) }); err == nil || ctx.Err() != nil || final(err) {
			return err
		}
		err = e.explain(err)
	}
	return err
}

// login finds the credentials for the endpoint, and does the handshake.
func (e *endpoint) login(ctx context.Context) (*http.Client, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.client != nil {
		return e.client, nil
	}
	credentials, err := authn.Resolve(ctx, authn.DefaultKeychain, e.repository)
	if err != nil {
		return nil, fmt.Errorf("find the credentials for %s: %w", e.repository.RegistryStr(), err)
	}
	scopes := []string{e.repository.Scope(transport.PullScope)}
	t, err := transport.NewWithContext(ctx, e.repository.Registry, credentials, e.base, scopes)
	if err != nil {
		return nil, err
	}
	e.client = &http.Client{Transport: t, CheckRedirect: checkRedirect}
	return e.client, nil
}

// get asks for a manifest or blob, from the given offset on. The answer's status
// is 200 or 206.
func (e *endpoint) get(ctx context.Context, kind, id string, header http.Header) (*http.Response, error) {
	client, err := e.login(ctx)
	if err != nil {
		return nil, err
	}
	url := fmt.Sprintf("%s://%s/v2/%s/%s/%s", e.repository.Scheme(), e.repository.RegistryStr(), e.repository.RepositoryStr(), kind, id)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	request.Header = header
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	if err := transport.CheckError(response, http.StatusOK, http.StatusPartialContent); err != nil {
		response.Body.Close()
		return nil, err
	}
	return response, nil
}

var acceptedManifests = strings.Join([]string{
	ocispec.MediaTypeImageIndex, ocispec.MediaTypeImageManifest, dockerList, dockerManifest,
}, ",")

func (r *remote) root(ctx context.Context) ([]byte, error) {
	var want digest.Digest
	if d, ok := r.ref.(name.Digest); ok {
		want = digest.Digest(d.DigestStr())
		if err := checkDigest(want); err != nil {
			return nil, err
		}
	}
	return r.fetchManifest(ctx, r.ref.Identifier(), want)
}

func (r *remote) manifest(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
	return r.fetchManifest(ctx, desc.Digest.String(), desc.Digest)
}

// fetchManifest fetches a manifest by tag or digest. An empty want means any.
func (r *remote) fetchManifest(ctx context.Context, id string, want digest.Digest) (body []byte, err error) {
	err = r.each(ctx, func(e *endpoint) error {
		ctx, guard := newGuard(ctx, r.network.StallTimeout)
		defer guard.stop()
		response, err := e.get(ctx, "manifests", id, http.Header{"Accept": {acceptedManifests}})
		if err != nil {
			return guard.cause(err)
		}
		defer response.Body.Close()
		if body, err = readAll(guard.reader(response.Body), maxManifestBytes); err != nil {
			return guard.cause(fmt.Errorf("read manifest: %w", err))
		}
		if want != "" && digest.FromBytes(body) != want {
			return finalError{wrongDigest(fmt.Errorf("the registry sent a manifest with the digest %s instead of %s", digest.FromBytes(body), want))}
		}
		return nil
	})
	return body, err
}

func wrongDigest(err error) error {
	return invalid(err, "the registry, or something on the way to it, damages or forges images; try again, and if it stays so, don't trust it")
}

// checkRedirect refuses redirects that lead from a public registry into the
// private network that the host is part of.
func checkRedirect(request *http.Request, via []*http.Request) error {
	if len(via) >= 10 {
		return errors.New("too many redirects")
	}
	to, from := request.URL.Hostname(), via[0].URL.Hostname()
	if to != from && isPrivate(to) && !isPrivate(from) {
		return fmt.Errorf("%s redirects to %s, an address of the local network", from, to)
	}
	return nil
}
