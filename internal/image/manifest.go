package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Docker's names for what OCI standardised later. The JSON is the same.
const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerConfig   = "application/vnd.docker.container.image.v1+json"
	dockerLayers   = "application/vnd.docker.image.rootfs."
	ociLayers      = "application/vnd.oci.image.layer."
)

const (
	maxLayers    = 1024
	maxManifests = 4096
)

// document is a manifest or an index, which are told apart by what they hold:
// media types are optional.
type document struct {
	SchemaVersion int                  `json:"schemaVersion"`
	MediaType     string               `json:"mediaType"`
	Config        ocispec.Descriptor   `json:"config"`
	Layers        []ocispec.Descriptor `json:"layers"`
	Manifests     []ocispec.Descriptor `json:"manifests"`
}

// parseDocument parses a manifest or an index, and checks every digest in it.
func parseDocument(b []byte) (*document, error) {
	var d document
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	switch {
	case d.SchemaVersion == 1:
		return nil, invalid(errors.New("its manifest has the format of 2014, which is no longer supported"), "push the image again with a current tool")
	case len(d.Manifests) > maxManifests || len(d.Layers) > maxLayers:
		return nil, fmt.Errorf("its manifest lists %d manifests and %d layers", len(d.Manifests), len(d.Layers))
	case len(d.Manifests) > 0:
		return &d, checkDescriptors(d.Manifests)
	}
	switch d.Config.MediaType {
	case ocispec.MediaTypeImageConfig, dockerConfig:
	default:
		return nil, notAnImage(d.Config.MediaType)
	}
	for _, l := range d.Layers {
		if !strings.HasPrefix(l.MediaType, ociLayers) && !strings.HasPrefix(l.MediaType, dockerLayers) || strings.HasSuffix(l.MediaType, "+encrypted") {
			return nil, notAnImage(l.MediaType)
		}
	}
	if err := checkDescriptors(d.Layers); err != nil {
		return nil, err
	}
	return &d, checkDescriptors([]ocispec.Descriptor{d.Config})
}

func notAnImage(mediaType string) error {
	return invalid(fmt.Errorf("it is not a container image, but something of the type %q", mediaType), "check the name of the image")
}

func checkDescriptors(descriptors []ocispec.Descriptor) error {
	for _, d := range descriptors {
		if err := checkDigest(d.Digest); err != nil {
			return err
		}
		if d.Size < 0 {
			return fmt.Errorf("%s has the size %d", d.Digest, d.Size)
		}
	}
	return nil
}

// digests returns those of all that an image's manifest refers to.
func (d *document) digests() []digest.Digest {
	all := []digest.Digest{d.Config.Digest}
	for _, l := range d.Layers {
		all = append(all, l.Digest)
	}
	return all
}

func (d *document) size() (total int64) {
	for _, l := range d.Layers {
		total += l.Size
	}
	return total
}

// parseConfig parses an image's configuration.
func parseConfig(b []byte) (*ocispec.Image, error) {
	var config ocispec.Image
	if err := json.Unmarshal(b, &config); err != nil {
		return nil, fmt.Errorf("read image configuration: %w", err)
	}
	for _, d := range config.RootFS.DiffIDs {
		if err := checkDigest(d); err != nil {
			return nil, fmt.Errorf("read image configuration: %w", err)
		}
	}
	return &config, nil
}

func (s *Store) readConfig(id digest.Digest) (*ocispec.Image, error) {
	b, err := s.readBlob(id, maxConfigBytes)
	if err != nil {
		return nil, err
	}
	return parseConfig(b)
}

func (s *Store) readManifest(d digest.Digest) (*document, error) {
	b, err := s.readBlob(d, maxManifestBytes)
	if err != nil {
		return nil, err
	}
	return parseDocument(b)
}
