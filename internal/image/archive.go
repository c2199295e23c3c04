package image

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"github.com/boxlite-go/boxlite/internal/image/layer"
	"github.com/google/go-containerregistry/pkg/name"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const maxArchiveFiles = 1 << 16

// archive is what `docker save` writes: a tar of layers and configurations, and
// of the file manifest.json, which says how they belong together.
type archive struct {
	files map[string]blob
	links map[string]string // names of other files
}

// archiveImage is an element of manifest.json.
type archiveImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// importArchive imports all images of an archive, and returns the first. As the
// archive may come from a pipe, and manifest.json is at its end, everything is
// copied before anything is understood.
func (p *puller) importArchive(ctx context.Context) (Image, error) {
	in, from, err := p.open(ctx)
	if err != nil {
		return Image{}, err
	}
	defer in.Close()
	a, err := p.readArchive(ctx, in, from)
	if err != nil {
		return Image{}, err
	}
	manifest, ok := a.find("manifest.json")
	if !ok {
		return Image{}, invalid(errors.New("there is no manifest.json in it"), "make it with `docker save`, or name it rootfs:FILE if it holds a root filesystem")
	}
	b, err := readFile(manifest.path, maxManifestBytes)
	if err != nil {
		return Image{}, err
	}
	images, err := parseArchiveManifest(b)
	if err != nil {
		return Image{}, err
	}
	var first Image
	for i, described := range images {
		image, err := p.importArchived(ctx, a, described, from)
		if err != nil {
			return Image{}, err
		}
		if i == 0 {
			first = image
		}
	}
	return first, nil
}

func parseArchiveManifest(b []byte) ([]archiveImage, error) {
	var images []archiveImage
	if err := json.Unmarshal(b, &images); err != nil {
		return nil, fmt.Errorf("read manifest.json: %w", err)
	}
	if len(images) == 0 {
		return nil, errors.New("manifest.json lists no images")
	}
	return images, nil
}

// readArchive copies the archive's files into the session.
func (p *puller) readArchive(ctx context.Context, in io.Reader, from *origin) (*archive, error) {
	done := p.importProgress(from)
	r, err := layer.NewReader(&countingBody{reader: in, done: done})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	a := &archive{files: make(map[string]blob), links: make(map[string]string)}
	left := p.store.opts.Limits.Bytes
	for t := tar.NewReader(r); ; {
		header, err := t.Next()
		if errors.Is(err, io.EOF) {
			return a, nil
		}
		if err != nil {
			return nil, invalid(fmt.Errorf("read archive: %w", err), "make it with `docker save`")
		}
		if len(a.files)+len(a.links) > maxArchiveFiles {
			return nil, fmt.Errorf("the archive has more than %d files", maxArchiveFiles)
		}
		file := path.Clean(header.Name)
		switch header.Typeflag {
		case tar.TypeReg:
			b, err := p.copyBlob(ctx, t, left, func(int64) {})
			if err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			left -= b.size
			a.files[file] = b
		case tar.TypeSymlink:
			a.links[file] = path.Join(path.Dir(file), header.Linkname)
		case tar.TypeLink:
			a.links[file] = path.Clean(header.Linkname)
		}
	}
}

// find returns a file of the archive, perhaps through a link.
func (a *archive) find(file string) (blob, bool) {
	file = path.Clean(file)
	if target, ok := a.links[file]; ok {
		file = target
	}
	b, ok := a.files[file]
	return b, ok
}

// importArchived imports one image of an archive under all of its names.
func (p *puller) importArchived(ctx context.Context, a *archive, described archiveImage, from *origin) (Image, error) {
	configBlob, ok := a.find(described.Config)
	if !ok {
		return Image{}, incomplete(described.Config)
	}
	configJSON, err := readFile(configBlob.path, maxConfigBytes)
	if err != nil {
		return Image{}, err
	}
	config, err := parseConfig(configJSON)
	if err != nil {
		return Image{}, err
	}
	var layers []ocispec.Descriptor
	var blobs []blob
	for _, file := range described.Layers {
		b, ok := a.find(file)
		if !ok {
			return Image{}, incomplete(file)
		}
		desc, _, err := p.describeLayer(ctx, b)
		if err != nil {
			return Image{}, fmt.Errorf("%s: %w", file, err)
		}
		layers, blobs = append(layers, desc), append(blobs, b)
	}
	var first Image
	for i, reference := range p.archiveReferences(described) {
		image, err := p.assemble(ctx, reference, configJSON, config, layers, blobs, from)
		if err != nil {
			return Image{}, err
		}
		if i == 0 {
			first = image
		}
	}
	return first, nil
}

// archiveReferences returns the image's names, or what names the archive.
func (p *puller) archiveReferences(described archiveImage) []string {
	var references []string
	for _, tag := range described.RepoTags {
		if r, err := name.ParseReference(tag); err == nil {
			references = append(references, fullName(r))
		}
	}
	if references == nil {
		references = []string{p.source.String()}
	}
	return references
}

func incomplete(file string) error {
	return invalid(fmt.Errorf("there is no %q in the archive", file), "the archive is incomplete; make it again with `docker save`")
}

func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f, limit)
}
