package image

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// fake is a registry that holds one image, "app:1", until a test spoils an answer.
type fake struct {
	host  string
	blobs map[string][]byte // by digest, and the manifest by tag too
	spoil func(w http.ResponseWriter, r *http.Request) bool
}

func startFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{blobs: make(map[string][]byte)}
	layer := f.add(ocispec.MediaTypeImageLayer, tarOf(t, "a", noise(100_000)))
	config := f.addJSON(t, ocispec.MediaTypeImageConfig, ocispec.Image{
		Platform: ocispec.Platform{OS: "linux", Architecture: defaultPlatform()[len("linux/"):]},
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{layer.Digest}},
	})
	f.setManifest(t, ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, Config: config, Layers: []ocispec.Descriptor{layer}})
	server := httptest.NewUnstartedServer(f)
	server.Config.ErrorLog = discardLog
	server.Start()
	t.Cleanup(server.Close)
	f.host = strings.TrimPrefix(server.URL, "http://")
	return f
}

func (f *fake) add(mediaType string, b []byte) ocispec.Descriptor {
	d := digest.FromBytes(b)
	f.blobs[d.String()] = b
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(b))}
}

func (f *fake) addJSON(t *testing.T, mediaType string, v any) ocispec.Descriptor {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return f.add(mediaType, b)
}

// setManifest makes a manifest or index what the tag means.
func (f *fake) setManifest(t *testing.T, v any) ocispec.Descriptor {
	t.Helper()
	d := f.addJSON(t, ocispec.MediaTypeImageManifest, v)
	f.blobs["1"] = f.blobs[d.Digest.String()]
	return d
}

func (f *fake) manifest(t *testing.T) (m ocispec.Manifest) {
	t.Helper()
	if err := json.Unmarshal(f.blobs["1"], &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f.spoil != nil && f.spoil(w, r) || r.URL.Path == "/v2/" {
		return
	}
	b, ok := f.blobs[r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]]
	if !ok {
		http.Error(w, `{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "no such thing"}]}`, http.StatusNotFound)
		return
	}
	w.Write(b)
}

func TestRegistryAnswersWithErrors(t *testing.T) {
	for _, where := range []string{"/v2/", "/manifests/", "/blobs/"} {
		for _, test := range []struct {
			status, attempts int
			hint             string
		}{
			{http.StatusUnauthorized, 1, "docker login"},
			{http.StatusForbidden, 1, "docker login"},
			{http.StatusNotFound, 1, "name and tag"},
			{http.StatusTooManyRequests, 3, "limits how much may be pulled"},
			{http.StatusInternalServerError, 3, "problem of its own"},
			{http.StatusBadGateway, 3, "problem of its own"},
		} {
			t.Run(fmt.Sprintf("%d at %s", test.status, where), func(t *testing.T) {
				if where == "/v2/" && test.status == http.StatusUnauthorized {
					t.Skip("there it is a request to log in")
				}
				f := startFake(t)
				attempts := 0
				f.spoil = func(w http.ResponseWriter, r *http.Request) bool {
					if !strings.Contains(r.URL.Path, where) || where == "/v2/" && r.URL.Path != where {
						return false
					}
					attempts++
					http.Error(w, `{"errors": [{"code": "SOME_CODE", "message": "some message"}]}`, test.status)
					return true
				}
				s := openStore(t, Options{})
				_, err := s.Pull(t.Context(), f.host+"/app:1", PullOptions{})
				wantError(t, err, protocol.KindImage, "registry "+f.host+": ", test.hint)
				if !strings.Contains(err.Error(), "SOME_CODE: some message") {
					t.Errorf("%q does not have what the registry said", err)
				}
				if attempts != test.attempts {
					t.Errorf("%d attempts, want %d", attempts, test.attempts)
				}
				wantNothing(t, s)
			})
		}
	}
	t.Run("an error that passes is not noticed", func(t *testing.T) {
		f := startFake(t)
		failed := make(map[string]bool)
		f.spoil = func(w http.ResponseWriter, r *http.Request) bool {
			first := !failed[r.URL.Path]
			failed[r.URL.Path] = true
			if first {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			return first
		}
		mustPull(t, openStore(t, Options{}), f.host+"/app:1")
	})
}

// wantNothing checks that a failed pull left no image and nothing half-written.
func wantNothing(t *testing.T, s *Store) {
	t.Helper()
	if images, err := s.List(t.Context()); err != nil || len(images) != 0 {
		t.Errorf("images: %+v, %v", images, err)
	}
	for _, f := range files(t, s, tmpDir) {
		t.Errorf("left behind: tmp/%s", f)
	}
}

func TestRegistrySendsWhatItShouldNot(t *testing.T) {
	for _, test := range []struct {
		name       string
		spoil      func(t *testing.T, f *fake)
		text, hint string
	}{
		{"a manifest that is no JSON", func(_ *testing.T, f *fake) { f.blobs["1"] = []byte("<html>login here</html>") }, "read manifest", ""},
		{"a manifest of the first version", func(_ *testing.T, f *fake) { f.blobs["1"] = []byte(`{"schemaVersion": 1}`) }, "2014", "push the image again"},
		{"a manifest without end", func(_ *testing.T, f *fake) { f.blobs["1"] = make([]byte, maxManifestBytes+1) }, "longer than the limit", ""},
		{"another layer", func(t *testing.T, f *fake) {
			d := f.manifest(t).Layers[0].Digest.String()
			f.blobs[d] = []byte(noise(len(f.blobs[d])))
		}, "content with the digest", "don't trust it"},
		{"a longer layer", func(t *testing.T, f *fake) {
			d := f.manifest(t).Layers[0].Digest.String()
			f.blobs[d] = append(f.blobs[d], 'x')
		}, "more than the", "don't trust it"},
		{"a shorter layer", func(t *testing.T, f *fake) {
			d := f.manifest(t).Layers[0].Digest.String()
			f.blobs[d] = f.blobs[d][:5000]
		}, "5000 of", ""},
		{"another configuration", func(t *testing.T, f *fake) {
			d := f.manifest(t).Config.Digest.String()
			f.blobs[d] = []byte(strings.Repeat(" ", len(f.blobs[d])))
		}, "content with the digest", "don't trust it"},
		{"another manifest than the index names", func(t *testing.T, f *fake) {
			d := f.addJSON(t, ocispec.MediaTypeImageManifest, f.manifest(t))
			d.Platform = &ocispec.Platform{OS: "linux", Architecture: defaultPlatform()[len("linux/"):]}
			f.blobs[d.Digest.String()] = []byte("{}")
			f.setManifest(t, ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: []ocispec.Descriptor{d}})
		}, "a manifest with the digest", "don't trust it"},
		{"an index of an index of an index…", func(t *testing.T, f *fake) {
			d := f.addJSON(t, ocispec.MediaTypeImageManifest, f.manifest(t))
			for range 5 {
				d = f.setManifest(t, ocispec.Index{Manifests: []ocispec.Descriptor{d}})
			}
		}, "nested too deeply", ""},
		{"a chart", func(t *testing.T, f *fake) {
			m := f.manifest(t)
			m.Config.MediaType = "application/vnd.cncf.helm.config.v1+json"
			f.setManifest(t, m)
		}, "not a container image", "check the name"},
		{"an encrypted layer", func(t *testing.T, f *fake) {
			m := f.manifest(t)
			m.Layers[0].MediaType += "+encrypted"
			f.setManifest(t, m)
		}, "not a container image", ""},
		{"a digest that is a path", func(t *testing.T, f *fake) {
			m := f.manifest(t)
			m.Layers[0].Digest = "sha256:../../../../etc/passwd"
			f.setManifest(t, m)
		}, "invalid checksum digest", ""},
		{"a layer of less than nothing", func(t *testing.T, f *fake) {
			m := f.manifest(t)
			m.Layers[0].Size = -1
			f.setManifest(t, m)
		}, "has the size -1", ""},
		{"fewer layers than configured", func(t *testing.T, f *fake) {
			m := f.manifest(t)
			m.Layers = nil
			f.setManifest(t, m)
		}, "describes 1 layers, and its manifest 0", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := startFake(t)
			test.spoil(t, f)
			s := openStore(t, Options{})
			_, err := s.Pull(t.Context(), f.host+"/app:1", PullOptions{})
			if test.name == "a manifest without end" {
				wantError(t, err, protocol.KindResourceExhausted, test.text, test.hint)
			} else {
				wantError(t, err, protocol.KindImage, test.text, test.hint)
			}
			wantNothing(t, s)
		})
	}
	t.Run("more layers than there may be", func(t *testing.T) {
		f := startFake(t)
		s := openStore(t, Options{})
		s.opts.Limits.Bytes = 1000
		_, err := s.Pull(t.Context(), f.host+"/app:1", PullOptions{})
		wantError(t, err, protocol.KindResourceExhausted, "more than the limits", "raise Options.MaxImageBytes")
	})
	t.Run("a layer that is not what the configuration says", func(t *testing.T) {
		f := startFake(t)
		m := f.manifest(t)
		m.Layers[0] = f.add(ocispec.MediaTypeImageLayer, tarOf(t, "a", "other"))
		f.setManifest(t, m)
		s := openStore(t, Options{})
		image := mustPull(t, s, f.host+"/app:1")
		_, err := s.Disk(t.Context(), image, nil)
		wantError(t, err, protocol.KindImage, "layer "+m.Layers[0].Digest.String()+": its content has the digest", "")
		if disks := files(t, s, disksDir); len(disks) > 0 {
			t.Errorf("there are disks: %q", disks)
		}
		wantClean(t, s)
	})
}

// A registry that keeps silent is given up after a while, whenever it falls silent.
func TestRegistryHangs(t *testing.T) {
	impatient := Network{HeaderTimeout: 100 * time.Millisecond, StallTimeout: 100 * time.Millisecond, RetryDelay: time.Millisecond}
	for _, where := range []string{"/v2/", "/manifests/", "/blobs/"} {
		for _, when := range []string{"before its answer", "in its answer"} {
			t.Run(where+" "+when, func(t *testing.T) {
				if where == "/v2/" && when == "in its answer" {
					t.Skip("its content doesn't matter")
				}
				f := startFake(t)
				over := make(chan struct{})
				t.Cleanup(func() { close(over) })
				f.spoil = func(w http.ResponseWriter, r *http.Request) bool {
					if !strings.Contains(r.URL.Path, where) || where == "/v2/" && r.URL.Path != where {
						return false
					}
					if when == "in its answer" {
						w.Header().Set("Content-Length", "1000000")
						io.WriteString(w, "{")
						w.(http.Flusher).Flush()
					}
					select {
					case <-over:
					case <-r.Context().Done():
					}
					return true
				}
				s := openStore(t, Options{Network: impatient})
				_, err := s.Pull(t.Context(), f.host+"/app:1", PullOptions{})
				wantError(t, err, protocol.KindTimeout, "registry "+f.host, "does not answer")
				wantNothing(t, s)
			})
		}
	}
	t.Run("there is nobody", func(t *testing.T) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listener.Close()
		_, err = openStore(t, Options{}).Pull(t.Context(), listener.Addr().String()+"/app", PullOptions{})
		wantError(t, err, protocol.KindNetwork, "connection refused", "can be reached")
	})
}

// Registries hand out blobs by redirects, but not to whatever is near the host.
func TestRedirects(t *testing.T) {
	for _, test := range []struct {
		from, to string
		allowed  bool
	}{
		{"registry.example.com", "cdn.example.net", true},
		{"registry.example.com", "192.0.2.1", true},
		{"registry.example.com", "169.254.169.254", false},
		{"registry.example.com", "10.0.0.1", false},
		{"registry.example.com", "[::1]", false},
		{"registry.example.com", "[::ffff:127.0.0.1]", false},
		{"registry.example.com", "localhost", false},
		{"10.0.0.1", "10.0.0.2", true},
		{"localhost", "127.0.0.1", true},
	} {
		request := func(host string) *http.Request { return httptest.NewRequest("GET", "https://"+host+"/", nil) }
		err := checkRedirect(request(test.to), []*http.Request{request(test.from)})
		if (err == nil) != test.allowed {
			t.Errorf("from %s to %s: %v", test.from, test.to, err)
		}
	}
}
