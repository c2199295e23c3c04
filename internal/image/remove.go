package image

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/opencontainers/go-digest"
)

// Remove takes the name ref from an image, or all names if ref is a digest or ID,
// and deletes what nothing refers to any more. An image that boxes use, as inUse
// says of its digest, stays until Prune finds it unused. The result has a line
// for each name and each image that is gone.
func (s *Store) Remove(ctx context.Context, ref string, inUse func(digest string) bool) ([]string, error) {
	removed, err := s.remove(ctx, ref, inUse)
	return removed, fail("remove image "+ref, protocol.KindStorage, err)
}

func (s *Store) remove(ctx context.Context, ref string, inUse func(digest string) bool) ([]string, error) {
	embedded := s.embeddedDigest() // before the lock, which it may need
	image, err := s.Get(ctx, ref)
	if err != nil {
		return nil, err
	}
	if image.Reference != "" && s.isEmbedded(image.Reference) {
		return nil, &protocol.Error{Kind: protocol.KindInvalidArgument, Err: errors.New("it is part of BoxLite and can't be removed")}
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	index, err := s.readIndex()
	if err != nil {
		return nil, err
	}
	byName := image.Reference != "" && image.Reference == normalise(ref)
	var removed []string
	for _, r := range index.untag(func(r record) bool {
		return r.ID.String() == image.ID && (!byName || r.Reference == image.Reference)
	}) {
		if r.Reference != "" {
			removed = append(removed, "untagged: "+r.Reference)
		}
	}
	for _, r := range index.dropUnnamed(func(r record) bool { return r.ID.String() == image.ID && !inUse(r.Digest.String()) }) {
		removed = append(removed, "deleted: "+r.ID.String())
	}
	if err := s.writeIndex(index); err != nil {
		return nil, err
	}
	s.sweep(index, embedded, inUse, false)
	return removed, nil
}

// Prune deletes images that have no name and that no box uses, interrupted
// downloads, and all else that nothing refers to. It returns how many bytes of the
// disk that freed.
func (s *Store) Prune(ctx context.Context, inUse func(digest string) bool) (int64, error) {
	_, freed, err := s.prune(ctx, false, inUse)
	return freed, fail("remove unused images", protocol.KindStorage, err)
}

// PruneNamed is Prune that also deletes images which have a name. It returns what
// was removed, as Remove does.
func (s *Store) PruneNamed(ctx context.Context, inUse func(digest string) bool) ([]string, int64, error) {
	removed, freed, err := s.prune(ctx, true, inUse)
	return removed, freed, fail("remove unused images", protocol.KindStorage, err)
}

func (s *Store) prune(ctx context.Context, named bool, inUse func(digest string) bool) (removed []string, freed int64, err error) {
	embedded := s.embeddedDigest() // before the lock, which it may need
	unlock, err := s.lock(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer unlock()
	index, err := s.readIndex()
	if err != nil {
		return nil, 0, err
	}
	unused := func(r record) bool { return !inUse(r.Digest.String()) }
	if named {
		for _, r := range index.untag(unused) {
			if r.Reference != "" {
				removed = append(removed, "untagged: "+r.Reference)
			}
		}
	}
	for _, r := range index.dropUnnamed(unused) {
		removed = append(removed, "deleted: "+r.ID.String())
	}
	if len(removed) > 0 {
		if err := s.writeIndex(index); err != nil {
			return nil, 0, err
		}
	}
	return removed, s.sweep(index, embedded, inUse, true), nil
}

// dropUnnamed takes the images that have no name, and that match, from the index.
func (i *index) dropUnnamed(matches func(record) bool) (dropped []record) {
	i.Images = slices.DeleteFunc(i.Images, func(r record) bool {
		drop := r.Reference == "" && matches(r)
		if drop {
			dropped = append(dropped, r)
		}
		return drop
	})
	return dropped
}

// sweep deletes the files that nothing refers to, with those of interrupted
// downloads if it is told to. The store must be locked.
func (s *Store) sweep(index *index, embedded digest.Digest, inUse func(digest string) bool, partials bool) (freed int64) {
	kept := s.keptBySessions()
	kept[embedded] = true
	for _, r := range index.Images {
		kept[r.Digest] = true
		manifest, err := s.readManifest(r.Digest)
		if err != nil {
			continue // damaged: pulling it again repairs it
		}
		for _, d := range manifest.digests() {
			kept[d] = true
		}
	}
	freed = s.removeFiles(blobsDir, "", func(d digest.Digest) bool { return kept[d] })
	freed += s.removeFiles(disksDir, ".ext4", func(d digest.Digest) bool { return kept[d] || inUse(d.String()) })
	if partials {
		freed += s.removeFiles(partialDir, "", func(d digest.Digest) bool { return kept[d] })
	}
	return freed
}

// removeFiles deletes the files of a folder that are not kept, and that nobody is
// just making.
func (s *Store) removeFiles(folder, suffix string, keep func(digest.Digest) bool) (freed int64) {
	files, _ := os.ReadDir(s.path(folder))
	for _, f := range files {
		d := digest.NewDigestFromEncoded(digest.SHA256, strings.TrimSuffix(f.Name(), suffix))
		if checkDigest(d) != nil || keep(d) {
			continue
		}
		unlock, ok := s.tryLockItem(d)
		if !ok {
			continue
		}
		path := s.path(folder, f.Name())
		size := allocated(path)
		if os.Remove(path) == nil {
			freed += size
		}
		unlock()
	}
	return freed
}

// allocated is how many bytes of the disk a file takes.
func allocated(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Blocks * 512
	}
	return info.Size()
}
