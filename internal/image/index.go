package image

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/google/renameio/v2"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	indexVersion  = 1
	maxIndexBytes = 64 << 20
)

// index is what index.json holds.
type index struct {
	Version int      `json:"version"`
	Images  []record `json:"images"`
	// Embedded remembers the description of the image that is part of the program.
	Embedded *embeddedRecord `json:"embedded,omitempty"`
}

// record is one image. An empty Reference means that it lost its name.
type record struct {
	Reference string        `json:"reference"`
	Digest    digest.Digest `json:"digest"`
	ID        digest.Digest `json:"id"`
	Platform  string        `json:"platform"`
	Size      int64         `json:"size"`
	Created   time.Time     `json:"created"`
	Origin    *origin       `json:"origin,omitempty"`
}

// origin is the file that an image was imported from, as it was then.
type origin struct {
	Source  string    `json:"source"` // such as "rootfs:/a/b.tar"
	Size    int64     `json:"size"`
	ModTime time.Time `json:"modTime"`
}

func (r record) image(config *ocispec.Image) Image {
	return Image{
		Reference: r.Reference, Digest: r.Digest.String(), ID: r.ID.String(), Size: r.Size,
		Created: r.Created, Platform: r.Platform, Config: config.Config,
	}
}

// readIndex needs no lock: the file is only ever replaced as a whole.
func (s *Store) readIndex() (*index, error) {
	f, err := os.Open(s.path(indexFile))
	if errors.Is(err, os.ErrNotExist) {
		return &index{Version: indexVersion}, nil
	}
	if err != nil {
		return nil, fail("read the image index", protocol.KindStorage, err)
	}
	defer f.Close()
	b, err := readAll(f, maxIndexBytes)
	if err != nil {
		return nil, fail("read the image index", protocol.KindStorage, err)
	}
	i, err := parseIndex(b)
	if err != nil {
		return nil, &protocol.Error{
			Kind: protocol.KindStorage, Op: "read the image index", Err: err,
			Hint: fmt.Sprintf("move %s away; boxes keep working, and what is pulled again is not downloaded again", f.Name()),
		}
	}
	return i, nil
}

func parseIndex(b []byte) (*index, error) {
	var i index
	if err := json.Unmarshal(b, &i); err != nil {
		return nil, err
	}
	if i.Version != indexVersion {
		return nil, fmt.Errorf("it has version %d, and this BoxLite knows %d", i.Version, indexVersion)
	}
	for _, r := range i.Images {
		for _, d := range []digest.Digest{r.Digest, r.ID} {
			if err := checkDigest(d); err != nil {
				return nil, fmt.Errorf("image %q: %w", r.Reference, err)
			}
		}
	}
	if e := i.Embedded; e != nil {
		if err := checkDigest(e.DiffID); err != nil {
			return nil, fmt.Errorf("embedded image: %w", err)
		}
	}
	return &i, nil
}

// writeIndex replaces the index. The store must be locked.
func (s *Store) writeIndex(i *index) error {
	slices.SortFunc(i.Images, func(a, b record) int {
		return cmp.Or(cmp.Compare(a.Reference, b.Reference), cmp.Compare(a.Platform, b.Platform), cmp.Compare(a.Digest, b.Digest))
	})
	b, err := json.MarshalIndent(i, "", "  ")
	if err != nil {
		return err
	}
	path := s.path(indexFile)
	if err := renameio.WriteFile(path, append(b, '\n'), 0o600, renameio.WithTempDir(s.path(tmpDir))); err != nil {
		return err
	}
	return syncParent(path)
}

// put adds an image, which takes its name from whatever had it before.
func (i *index) put(r record) {
	if r.Reference != "" {
		i.untag(func(old record) bool { return old.Reference == r.Reference && old.Platform == r.Platform })
	}
	i.Images = slices.DeleteFunc(i.Images, func(old record) bool { return old.Reference == "" && old.Digest == r.Digest })
	i.Images = append(i.Images, r)
}

// untag takes the names from the images that match. An image that has no other
// name is kept without one, because boxes may be using it.
func (i *index) untag(matches func(record) bool) (untagged []record) {
	var kept []record
	for _, r := range i.Images {
		if matches(r) {
			untagged = append(untagged, r)
		} else {
			kept = append(kept, r)
		}
	}
	for _, r := range untagged {
		if !slices.ContainsFunc(kept, func(k record) bool { return k.Digest == r.Digest }) {
			r.Reference, r.Origin = "", nil
			kept = append(kept, r)
		}
	}
	i.Images = kept
	return untagged
}

func sortImages(images []Image) {
	slices.SortStableFunc(images, func(a, b Image) int {
		return cmp.Or(cmp.Compare(a.Reference, b.Reference), cmp.Compare(a.Platform, b.Platform))
	})
}

// minPrefix is how many digits of an ID must be given at least.
const minPrefix = 4

// match returns the images that ref names: the one with that reference or digest,
// for the given platform if there are several, or else those whose ID begins so.
func match(images []Image, ref, platform string) []Image {
	var exact, prefixed []Image
	name := normalise(ref)
	prefix := strings.TrimPrefix(ref, "sha256:")
	for _, i := range images {
		switch {
		case ref == "":
		case i.Reference == name || i.Reference == ref || i.Digest == ref || i.ID == ref:
			exact = append(exact, i)
		case len(prefix) >= minPrefix && strings.HasPrefix(i.ID, "sha256:"+prefix):
			prefixed = append(prefixed, i)
		}
	}
	if len(exact) == 0 {
		return prefixed
	}
	at := slices.IndexFunc(exact, func(i Image) bool { return i.Platform == platform })
	return exact[max(at, 0):][:1]
}

// syncParent makes the names in a file's folder durable.
func syncParent(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
