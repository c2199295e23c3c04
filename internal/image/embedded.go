package image

import (
	"context"
	"encoding/json"
	"io"

	"github.com/boxlite-go/boxlite/internal/image/layer"
	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// embeddedImage is the image that is part of the program. It has digests like any
// other, of a manifest and configuration that are computed but stored nowhere.
type embeddedImage struct {
	Image
	diffID digest.Digest
}

// embeddedRecord is what the index remembers of it, so that its content is not
// hashed each time.
type embeddedRecord struct {
	Key    string        `json:"key"`
	DiffID digest.Digest `json:"diffId"`
	Size   int64         `json:"size"`
}

func (s *Store) describeEmbedded() (embeddedImage, error) {
	e := s.opts.Embedded
	known, err := s.embeddedContent()
	if err != nil {
		return embeddedImage{}, fail("read image "+e.Reference, protocol.KindInternal, err)
	}
	platform, err := parsePlatform(defaultPlatform())
	if err != nil {
		return embeddedImage{}, err
	}
	config, err := json.Marshal(ocispec.Image{
		Platform: platform, Config: e.Config,
		RootFS: ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{known.DiffID}},
	})
	if err != nil {
		return embeddedImage{}, err
	}
	manifest, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: digest.FromBytes(config), Size: int64(len(config))},
		Layers:    []ocispec.Descriptor{{MediaType: ocispec.MediaTypeImageLayer, Digest: known.DiffID, Size: known.Size}},
	})
	if err != nil {
		return embeddedImage{}, err
	}
	return embeddedImage{diffID: known.DiffID, Image: Image{
		Reference: e.Reference, Digest: digest.FromBytes(manifest).String(), ID: digest.FromBytes(config).String(),
		Size: known.Size, Created: e.Created, Platform: defaultPlatform(), Config: e.Config,
	}}, nil
}

// embeddedContent returns the digest and size of the root filesystem's tar.
func (s *Store) embeddedContent() (embeddedRecord, error) {
	key := s.opts.Embedded.Key
	if key != "" {
		if index, err := s.readIndex(); err == nil && index.Embedded != nil && index.Embedded.Key == key {
			return *index.Embedded, nil
		}
	}
	rootfs, err := s.opts.Embedded.Rootfs()
	if err != nil {
		return embeddedRecord{}, err
	}
	defer rootfs.Close()
	r, err := layer.NewReader(rootfs)
	if err != nil {
		return embeddedRecord{}, err
	}
	defer r.Close()
	sum := digest.SHA256.Digester()
	size, err := io.Copy(sum.Hash(), r)
	if err != nil {
		return embeddedRecord{}, err
	}
	found := embeddedRecord{Key: key, DiffID: sum.Digest(), Size: size}
	if key != "" {
		s.remember(found)
	}
	return found, nil
}

// remember notes what was computed. If it can't, it will be computed again.
func (s *Store) remember(e embeddedRecord) {
	unlock, err := s.lock(context.Background())
	if err != nil {
		return
	}
	defer unlock()
	if index, err := s.readIndex(); err == nil {
		index.Embedded = &e
		_ = s.writeIndex(index)
	}
}

// embeddedDigest returns the digest of the embedded image, or "" if there is none.
func (s *Store) embeddedDigest() digest.Digest {
	if s.opts.Embedded.Reference == "" {
		return ""
	}
	e, err := s.embedded()
	if err != nil {
		return ""
	}
	return digest.Digest(e.Digest)
}
