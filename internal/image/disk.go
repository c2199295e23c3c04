package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/boxlite-go/boxlite/internal/image/flatten"
	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/boxlite-go/boxlite/internal/stage"
	"github.com/opencontainers/go-digest"
)

// Disk returns the path of the image's root disk, a read-only ext4 file system,
// and builds it if it isn't there. When several processes ask for it at once, one
// builds it and the others wait. Progress may be nil.
func (s *Store) Disk(ctx context.Context, image Image, progress func(Progress)) (string, error) {
	path, err := s.disk(ctx, image, newReporter(progress))
	return path, fail("build the root disk of image "+image.name(), protocol.KindStorage, err)
}

func (i Image) name() string {
	if i.Reference != "" {
		return i.Reference
	}
	return i.Digest
}

func (s *Store) disk(ctx context.Context, image Image, reporter *reporter) (string, error) {
	d := digest.Digest(image.Digest)
	if err := checkDigest(d); err != nil {
		return "", err
	}
	path := s.diskPath(d)
	if isWhole(path) {
		return path, nil
	}
	session, err := s.begin(ctx)
	if err != nil {
		return "", err
	}
	defer session.end()
	unlock, err := s.lockItem(ctx, d)
	if err != nil {
		return "", err
	}
	defer unlock()
	if isWhole(path) {
		return path, nil
	}
	layers, err := session.layers(ctx, d)
	if err != nil {
		return "", err
	}
	err = session.build(ctx, layers, path, reporter)
	if err != nil && session.dropDamaged(ctx, d) {
		err = &protocol.Error{
			Kind: protocol.KindImage, Err: fmt.Errorf("what is stored of the image is damaged: %w", err),
			Hint: "pull or import the image again: what is damaged is replaced",
		}
	}
	return path, err
}

// dropDamaged removes the blobs of an image that are not what they were, and
// reports whether there were any.
func (s *session) dropDamaged(ctx context.Context, d digest.Digest) (dropped bool) {
	manifest, err := s.store.readManifest(d)
	if err != nil {
		return false
	}
	for _, l := range manifest.Layers {
		unlock, ok := s.store.tryLockItem(l.Digest)
		if !ok {
			continue
		}
		if !s.store.isIntact(ctx, l) && ctx.Err() == nil {
			dropped = os.RemoveAll(s.store.blobPath(l.Digest)) == nil || dropped
		}
		unlock()
	}
	return dropped
}

// wholeTime is the modification time of a disk that is as it was made. It is
// before all others, so whatever has been written to the disk since, by accident
// or not, shows.
var wholeTime = time.Unix(1, 0)

// isWhole reports whether there is a disk at path, as it was made.
func isWhole(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.ModTime().Equal(wholeTime)
}

func (s *Store) diskPath(d digest.Digest) string { return s.path(disksDir, d.Encoded()+".ext4") }

// build writes the disk to a temporary file, which gets its name when it is complete.
func (s *session) build(ctx context.Context, layers []flatten.Layer, path string, reporter *reporter) error {
	f, err := s.create()
	if err != nil {
		return err
	}
	defer f.Close()
	err = flatten.Write(ctx, f, layers, s.store.opts.Limits, func(done, total int64) {
		reporter.report(Progress{Phase: "convert", Done: done, Total: total})
	})
	if err != nil {
		return err
	}
	if err := os.Chtimes(f.Name(), wholeTime, wholeTime); err != nil {
		return err
	}
	stage.Reached("pull/disk", path)
	return publish(f, path)
}

// layers returns the layers of an image, and keeps them for the session.
func (s *session) layers(ctx context.Context, d digest.Digest) ([]flatten.Layer, error) {
	if layers, ok := s.store.embeddedLayers(d); ok {
		return layers, s.keep(ctx, d)
	}
	manifest, err := s.store.readManifest(d)
	if err != nil {
		return nil, gone(err)
	}
	if err := s.keep(ctx, append(manifest.digests(), d)...); err != nil {
		return nil, err
	}
	config, err := s.store.readConfig(manifest.Config.Digest)
	if err != nil {
		return nil, gone(err)
	}
	if len(config.RootFS.DiffIDs) != len(manifest.Layers) {
		return nil, invalid(errors.New("its configuration does not describe its layers"), "")
	}
	var layers []flatten.Layer
	for i, l := range manifest.Layers {
		if !s.store.hasBlob(l) {
			return nil, gone(fs.ErrNotExist)
		}
		layers = append(layers, flatten.Layer{
			Name: l.Digest.String(), Open: s.store.opener(l.Digest), DiffID: config.RootFS.DiffIDs[i].String(),
		})
	}
	return layers, nil
}

func (s *Store) opener(d digest.Digest) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return os.Open(s.blobPath(d)) }
}

func (s *Store) embeddedLayers(d digest.Digest) ([]flatten.Layer, bool) {
	if s.opts.Embedded.Reference == "" {
		return nil, false
	}
	e, err := s.embedded()
	if err != nil || e.Digest != d.String() {
		return nil, false
	}
	return []flatten.Layer{{Name: e.Reference, Open: s.opts.Embedded.Rootfs, DiffID: e.diffID.String()}}, true
}

// gone says that the image's content is no longer in the store.
func gone(err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return &protocol.Error{
		Kind: protocol.KindNotFound, Err: errors.New("the image's content is no longer in the store"),
		Hint: "pull the image again",
	}
}
