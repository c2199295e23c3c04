package image

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/boxlite-go/boxlite/internal/image/flatten"
	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/boxlite-go/boxlite/internal/suggest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Options says how a Store gets its images. The zero value has no embedded image
// and no mirrors, and uses the defaults for all else.
type Options struct {
	// Embedded is the image that is part of the program. It is listed like any
	// other, and needs no registry.
	Embedded Embedded
	// Mirrors lists, for a registry such as "docker.io", hosts to be tried before
	// it. A host may begin with "http://" if it has no TLS.
	Mirrors map[string][]string
	// Registries are asked, in this order, for images whose name says no registry.
	// Empty means docker.io.
	Registries []string
	// Limits bounds what an image may need.
	Limits flatten.Limits
	// Network bounds how long a registry may keep us waiting.
	Network Network
}

// Network holds time limits. A zero field means its default.
type Network struct {
	// HeaderTimeout is how long a registry may take to begin its answer, and also
	// to accept a connection. Default 30 seconds.
	HeaderTimeout time.Duration
	// StallTimeout is how long a download may go without a single byte. Default 30
	// seconds.
	StallTimeout time.Duration
	// RetryDelay is the pause before the second attempt; the pause before the
	// third is three times as long, and there is no fourth. Default 1 second.
	RetryDelay time.Duration
}

// Embedded is an image that is part of the program.
type Embedded struct {
	// Reference is its name, such as "boxlite/base". Empty means that there is none.
	Reference string
	// Key changes whenever the content does, such as a hash of the embedded bytes.
	// With it, the image's digest is computed once and remembered. It may be empty.
	Key string
	// Rootfs opens the tar of the root filesystem, which may be compressed.
	Rootfs func() (io.ReadCloser, error)
	// Config is the image's configuration.
	Config ocispec.ImageConfig
	// Created is when it was made.
	Created time.Time
}

// Image is an image in the store.
type Image struct {
	// Reference is the full name, such as "docker.io/library/alpine:3.20". It is
	// empty for an image that lost its name to another while a box was using it.
	Reference string
	// Digest is that of the manifest, and names the image's root disk.
	Digest string
	// ID is the digest of the configuration, by which docker knows an image.
	ID string
	// Size is that of the layers as they are stored, mostly compressed, in bytes.
	Size int64
	// Created is when the image was made, or the zero time if it doesn't say.
	Created time.Time
	// Platform is such as "linux/amd64" or "linux/arm64/v8".
	Platform string
	// Config is the image's configuration: environment, command, user and so on.
	Config ocispec.ImageConfig
}

// Progress is a step of a pull or conversion.
type Progress struct {
	// Phase is "resolve", "download" or "convert".
	Phase string
	// Layer is the digest of the layer concerned, or empty.
	Layer string
	// Done and Total are in bytes. A Total of 0 means that it isn't known.
	Done, Total int64
}

// PullOptions says how to pull. The zero value pulls for the host's platform.
type PullOptions struct {
	// Platform is such as "linux/arm64". Empty means linux on the host's architecture.
	Platform string
	// Progress, if not nil, is told how far the pull is, by one goroutine at a time.
	Progress func(Progress)
	// Stdin is what "docker-archive:-" and "rootfs:-" read.
	Stdin io.Reader
}

// Store is a directory of images. Its methods may be called from several
// goroutines.
type Store struct {
	dir      string
	opts     Options
	embedded func() (embeddedImage, error)
}

// Open opens the store in dir, which is made if it doesn't exist.
func Open(dir string, opts Options) (*Store, error) {
	if opts.Network.HeaderTimeout == 0 {
		opts.Network.HeaderTimeout = 30 * time.Second
	}
	if opts.Network.StallTimeout == 0 {
		opts.Network.StallTimeout = 30 * time.Second
	}
	if opts.Network.RetryDelay == 0 {
		opts.Network.RetryDelay = time.Second
	}
	opts.Limits = opts.Limits.WithDefaults()
	if err := checkRegistries(opts.Registries); err != nil {
		return nil, err
	}
	s := &Store{dir: dir, opts: opts}
	s.embedded = sync.OnceValues(s.describeEmbedded)
	for _, sub := range []string{blobsDir, partialDir, disksDir, locksDir, tmpDir} {
		if err := os.MkdirAll(s.path(sub), 0o700); err != nil {
			return nil, fail("open the image store", protocol.KindStorage, err)
		}
	}
	s.removeAbandoned()
	return s, nil
}

const (
	blobsDir   = "blobs/sha256"
	partialDir = "blobs/partial"
	disksDir   = "disks"
	locksDir   = "locks"
	tmpDir     = "tmp"
	indexFile  = "index.json"
	lockFile   = "lock"
)

func (s *Store) path(elements ...string) string {
	return filepath.Join(append([]string{s.dir}, elements...)...)
}

// Get returns an image that is in the store, by its reference, its digest, or its
// ID or the beginning of one.
func (s *Store) Get(ctx context.Context, ref string) (Image, error) {
	op := "find image " + ref
	images, err := s.List(ctx)
	if err != nil {
		return Image{}, err
	}
	if s.isEmbedded(ref) {
		ref = s.opts.Embedded.Reference
	}
	var found []Image
	for _, candidate := range append(s.candidates(ref), ref) {
		if found = match(images, candidate, defaultPlatform()); len(found) > 0 {
			break
		}
	}
	if len(found) == 0 {
		return Image{}, &protocol.Error{
			Kind: protocol.KindNotFound, Op: op,
			Err:  fmt.Errorf("no such image in the store"),
			Hint: hintMissing(ref, images),
		}
	}
	for _, i := range found[1:] {
		if i.ID != found[0].ID {
			return Image{}, &protocol.Error{
				Kind: protocol.KindInvalidArgument, Op: op,
				Err:  fmt.Errorf("several images have an ID that begins so"),
				Hint: "give more digits of the ID",
			}
		}
	}
	return found[0], nil
}

// List returns all images, sorted by reference.
func (s *Store) List(ctx context.Context) ([]Image, error) {
	if err := ctx.Err(); err != nil {
		return nil, fail("list images", protocol.KindStorage, err)
	}
	index, err := s.readIndex()
	if err != nil {
		return nil, err
	}
	var images []Image
	if s.opts.Embedded.Reference != "" {
		e, err := s.embedded()
		if err != nil {
			return nil, err
		}
		images = append(images, e.Image)
	}
	for _, r := range index.Images {
		config, err := s.readConfig(r.ID)
		if err != nil {
			continue // as good as not there: pulling it again repairs it
		}
		images = append(images, r.image(config))
	}
	sortImages(images)
	return images, nil
}

func defaultPlatform() string { return "linux/" + runtime.GOARCH }

// hintMissing says which image may have been meant by a name that none has.
func hintMissing(ref string, images []Image) string {
	var names []string
	for _, i := range images {
		short, _ := strings.CutPrefix(i.Reference, "docker.io/")
		names = append(names, i.Reference, strings.TrimPrefix(short, "library/"))
	}
	for _, name := range names[:len(names):len(names)] {
		names = append(names, strings.TrimSuffix(name, ":latest"))
	}
	if near := suggest.Closest(ref, names); near != "" {
		return fmt.Sprintf("did you mean %s? if not, fetch it with `boxlite pull`", near)
	}
	return "list the images that are there with `boxlite images`, or fetch it with `boxlite pull`"
}
