package image

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/boxlite-go/boxlite/internal/protocol"
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

// readIndexFile reads the index, or its copy.
func (s *Store) readIndexFile(name string) (*index, error) {
	f, err := os.Open(s.path(name))
	if err != nil {
		return nil, fail("read the image index", protocol.KindStorage, err)
	}
	defer f.Close()
	b, err := readAll(f, maxIndexBytes)
	if err != nil {
		return nil, fail("read the image index", protocol.KindStorage, err)
	}
	i, err := parseIndex(b)
	return i, fail("read the image index "+f.Name(), protocol.KindStorage, err)
}

func parseIndex(b []byte) (*index, error) {
	if !utf8.Valid(b) { // which encoding/json would mend
		return nil, errors.New("it is damaged")
	}
	var i index
	if err := json.Unmarshal(b, &i); err != nil {
		return nil, err
	}
	if i.Version > indexVersion {
		return nil, &protocol.Error{
			Kind: protocol.KindUnsupported,
			Err:  fmt.Errorf("it has version %d, and this BoxLite knows %d", i.Version, indexVersion),
			Hint: "use a newer version of BoxLite, or another home",
		}
	}
	if i.Version < 1 {
		return nil, errors.New("it has no version")
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

// writeIndex replaces the index, and then its copy. The store must be locked.
func (s *Store) writeIndex(i *index) error {
	slices.SortFunc(i.Images, func(a, b record) int {
		return cmp.Or(cmp.Compare(a.Reference, b.Reference), cmp.Compare(a.Platform, b.Platform), cmp.Compare(a.Digest, b.Digest))
	})
	b, err := json.MarshalIndent(i, "", "  ")
	if err != nil {
		return err
	}
	for _, name := range []string{indexFile, spareFile} {
		if err := s.replace(name, append(b, '\n')); err != nil {
			return err
		}
	}
	return nil
}

// replace puts data in the place of a file, at once and durably.
func (s *Store) replace(name string, data []byte) error {
	f, err := os.CreateTemp(s.path(tmpDir), name)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // which fails if all goes well
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return publish(f, s.path(name))
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
