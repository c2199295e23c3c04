package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/boxlite-go/boxlite/internal/image/flatten"
	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/boxlite-go/boxlite/internal/stage"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

// parallelLayers is how many layers are downloaded at once.
const parallelLayers = 4

// Pull fetches an image from a registry, or imports it from a file, and puts it
// into the store. What the store already holds is not fetched again.
func (s *Store) Pull(ctx context.Context, ref string, opts PullOptions) (Image, error) {
	return s.pullFirst(ctx, s.candidates(ref), opts)
}

func (s *Store) pull(ctx context.Context, ref string, opts PullOptions) (Image, error) {
	if s.isEmbedded(ref) {
		return s.Get(ctx, ref)
	}
	src, err := parseSource(ref)
	if err != nil {
		return Image{}, err
	}
	if opts.Platform == "" {
		opts.Platform = defaultPlatform()
	}
	platform, err := parsePlatform(opts.Platform)
	if err != nil {
		return Image{}, err
	}
	session, err := s.begin(ctx)
	if err != nil {
		return Image{}, err
	}
	defer session.end()
	p := &puller{session: session, source: src, platform: platform, stdin: opts.Stdin, reporter: newReporter(opts.Progress)}
	p.reporter.report(Progress{Phase: "resolve"})
	switch src.scheme {
	case schemeOCI:
		return p.fetch(ctx, layout{src})
	case schemeArchive:
		return p.importArchive(ctx)
	case schemeRootfs:
		return p.importRootfs(ctx)
	}
	remote, err := s.newRemote(src.registry)
	if err != nil {
		return Image{}, err
	}
	defer remote.close()
	return p.fetch(ctx, remote)
}

// Resolve returns the image that ref names, and pulls it if it isn't there. A
// file that has changed since it was imported is imported again.
func (s *Store) Resolve(ctx context.Context, ref string, opts PullOptions) (Image, error) {
	images, err := s.List(ctx)
	if err != nil {
		return Image{}, err
	}
	if opts.Platform == "" {
		opts.Platform = defaultPlatform()
	}
	platform, err := parsePlatform(opts.Platform)
	if err != nil {
		return Image{}, fail("find image "+ref, protocol.KindInvalidArgument, err)
	}
	src, err := parseSource(ref)
	if err == nil && src.scheme != schemeRegistry {
		if image, ok := s.imported(images, src, platform); ok {
			return image, nil
		}
		return s.Pull(ctx, ref, opts)
	}
	if s.isEmbedded(ref) {
		ref = s.opts.Embedded.Reference
	}
	for _, candidate := range s.candidates(ref) {
		for _, i := range match(images, candidate, opts.Platform) {
			have, err := parsePlatform(i.Platform)
			if named := i.Reference == normalise(candidate) || s.isEmbedded(ref); err == nil && named && satisfies(have, platform) {
				return i, nil
			}
		}
	}
	for _, i := range match(images, ref, opts.Platform) {
		if i.Reference != normalise(ref) && !s.isEmbedded(ref) && len(ref) >= len("sha256:")+minPrefix {
			return i, nil
		}
	}
	return s.Pull(ctx, ref, opts)
}

// puller is one pull.
type puller struct {
	*session
	source   source
	platform ocispec.Platform
	variant  string // of the processor, that an index says the image is for
	stdin    io.Reader
	reporter *reporter
}

// content is where the blobs of an image come from.
type content interface {
	// root returns the manifest or index that the source names.
	root(ctx context.Context) ([]byte, error)
	// manifest returns a manifest that an index names.
	manifest(ctx context.Context, desc ocispec.Descriptor) ([]byte, error)
	// blob puts a blob into the store, where it is not yet.
	blob(ctx context.Context, s *session, desc ocispec.Descriptor, done func(int64)) error
}

// fetch copies an image into the store.
func (p *puller) fetch(ctx context.Context, from content) (Image, error) {
	manifest, doc, err := p.resolve(ctx, from)
	if err != nil {
		return Image{}, err
	}
	limits := p.store.opts.Limits
	if doc.Config.Size > maxConfigBytes || doc.size() > limits.Bytes || doc.size() < 0 {
		return Image{}, &protocol.Error{
			Kind: protocol.KindResourceExhausted,
			Err:  fmt.Errorf("the image has %d bytes of layers and %d of configuration, more than the limits of %d and %d", doc.size(), doc.Config.Size, limits.Bytes, maxConfigBytes),
			Hint: flatten.HintBytes,
		}
	}
	if err := p.keep(ctx, append(doc.digests(), digest.FromBytes(manifest))...); err != nil {
		return Image{}, err
	}
	// Without a disk of the image, which was made of them, its layers aren't trusted.
	verify := !isWhole(p.store.diskPath(digest.FromBytes(manifest)))
	// The configuration first: it tells whether the rest is any use. It is small, and
	// never trusted.
	if err := p.get(ctx, from, doc.Config, true); err != nil {
		return Image{}, err
	}
	config, err := p.store.readConfig(doc.Config.Digest)
	if err != nil {
		return Image{}, err
	}
	if err := p.checkConfig(doc, config); err != nil {
		return Image{}, err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(parallelLayers)
	for _, l := range distinct(doc.Layers) {
		group.Go(func() error { return p.get(groupCtx, from, l, verify) })
	}
	if err := group.Wait(); err != nil {
		return Image{}, err
	}
	return p.commit(ctx, p.source.String(), manifest, doc, config, nil)
}

// resolve follows indexes to the manifest for the platform.
func (p *puller) resolve(ctx context.Context, from content) ([]byte, *document, error) {
	body, err := from.root(ctx)
	// An index may list indexes, which nobody nests deeper than this.
	for range 4 {
		if err != nil {
			return nil, nil, err
		}
		doc, err2 := parseDocument(body)
		if err2 != nil || len(doc.Manifests) == 0 {
			return body, doc, err2
		}
		desc, err2 := choose(doc.Manifests, p.platform)
		if err2 != nil {
			return nil, nil, err2
		}
		if desc.Platform != nil {
			p.variant = desc.Platform.Variant
		}
		body, err = from.manifest(ctx, desc)
	}
	return nil, nil, errors.New("its index is nested too deeply")
}

// get fetches a blob, unless the store has it, intact if verify says to look. What is
// damaged goes, which only the holder of the blob's lock may say: to others, it may just
// not have come yet.
func (p *puller) get(ctx context.Context, from content, desc ocispec.Descriptor, verify bool) error {
	done := func(n int64) {
		p.reporter.report(Progress{Phase: "download", Layer: desc.Digest.String(), Done: n, Total: desc.Size})
	}
	unlock, err := p.store.lockItem(ctx, desc.Digest)
	if err != nil {
		return err
	}
	defer unlock()
	if p.store.hasBlob(desc) && (!verify || p.store.isIntact(ctx, desc)) {
		done(desc.Size)
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := os.RemoveAll(p.store.blobPath(desc.Digest)); err != nil {
		return err
	}
	done(0)
	if err := from.blob(ctx, p.session, desc, done); err != nil {
		return fmt.Errorf("%s: %w", desc.Digest, err)
	}
	done(desc.Size)
	return nil
}

// checkConfig checks that the configuration fits the manifest and the platform.
func (p *puller) checkConfig(doc *document, config *ocispec.Image) error {
	if len(config.RootFS.DiffIDs) != len(doc.Layers) {
		return fmt.Errorf("its configuration describes %d layers, and its manifest %d", len(config.RootFS.DiffIDs), len(doc.Layers))
	}
	if config.OS == "" {
		config.OS = p.platform.OS
	}
	if config.Architecture == "" {
		config.Architecture = p.platform.Architecture
	}
	if config.Variant == "" {
		config.Variant = p.variant
	}
	if !satisfies(config.Platform, p.platform) {
		return wrongPlatform(p.platform, []string{platformString(config.Platform)})
	}
	return nil
}

// commit puts a complete image into the index.
func (p *puller) commit(ctx context.Context, reference string, manifest []byte, doc *document, config *ocispec.Image, from *origin) (Image, error) {
	d, err := p.putBlob(ctx, manifest)
	if err != nil {
		return Image{}, err
	}
	r := record{
		Reference: reference, Digest: d, ID: doc.Config.Digest, Size: doc.size(),
		Platform: platformString(config.Platform), Origin: from,
	}
	if config.Created != nil {
		r.Created = *config.Created
	}
	unlock, err := p.store.lock(ctx)
	if err != nil {
		return Image{}, err
	}
	defer unlock()
	index, err := p.store.readIndex()
	if err != nil {
		return Image{}, err
	}
	index.put(r)
	stage.Reached("pull/index", reference)
	return r.image(config), p.store.writeIndex(index)
}

func distinct(descriptors []ocispec.Descriptor) []ocispec.Descriptor {
	var all []ocispec.Descriptor
	for _, d := range descriptors {
		if !slices.ContainsFunc(all, func(o ocispec.Descriptor) bool { return o.Digest == d.Digest }) {
			all = append(all, d)
		}
	}
	return all
}
