package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/boxlite-go/boxlite/internal/protocol"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// layout is an OCI image layout, a directory (OCI image specification, "Image
// Layout").
type layout struct{ source source }

// fullNameAnnotation is where containerd and docker keep an image's full name.
const fullNameAnnotation = "io.containerd.image.name"

func (l layout) root(context.Context) ([]byte, error) {
	b, err := l.read("index.json", maxManifestBytes)
	if err != nil {
		return nil, notReadable(err, l.source.path, "; an OCI layout is a directory with the files oci-layout and index.json")
	}
	var index ocispec.Index
	if err := json.Unmarshal(b, &index); err != nil {
		return nil, fmt.Errorf("read index.json: %w", err)
	}
	var names []string
	var found []ocispec.Descriptor
	for _, m := range index.Manifests {
		name := m.Annotations[ocispec.AnnotationRefName]
		if l.source.ref == "" || l.source.ref == name || l.source.ref == m.Annotations[fullNameAnnotation] {
			found = append(found, m)
		}
		if name != "" {
			names = append(names, name)
		}
	}
	switch {
	case len(found) == 0:
		return nil, invalid(fmt.Errorf("there is no %q in it, only %s", l.source.ref, strings.Join(names, ", ")), "")
	case len(found) == 1:
		if err := checkDescriptors(found); err != nil {
			return nil, err
		}
		return l.manifest(context.Background(), found[0])
	case l.source.ref == "" && len(names) > 1:
		return nil, invalid(fmt.Errorf("there are several images in it: %s", strings.Join(names, ", ")), "add the name of one, as in oci:DIR:"+names[0])
	}
	return json.Marshal(ocispec.Index{Versioned: index.Versioned, Manifests: found})
}

func (l layout) manifest(_ context.Context, desc ocispec.Descriptor) ([]byte, error) {
	b, err := l.read(blobName(desc), maxManifestBytes)
	if err == nil && desc.Digest.Algorithm().FromBytes(b) != desc.Digest {
		err = invalid(fmt.Errorf("the file of %s has other content", desc.Digest), "the layout is damaged: make it again")
	}
	return b, err
}

func (l layout) blob(ctx context.Context, s *session, desc ocispec.Descriptor, done func(int64)) error {
	f, err := os.Open(filepath.Join(l.source.path, blobName(desc)))
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := s.copyBlob(ctx, f, desc.Size, done)
	if err != nil {
		return err
	}
	if b.size != desc.Size || b.digest != desc.Digest {
		return invalid(errors.New("the layout's file has other content"), "the layout is damaged: make it again")
	}
	return s.adopt(b)
}

func blobName(desc ocispec.Descriptor) string {
	return filepath.Join("blobs", desc.Digest.Algorithm().String(), desc.Digest.Encoded())
}

func (l layout) read(name string, limit int64) ([]byte, error) {
	f, err := os.Open(filepath.Join(l.source.path, name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f, limit)
}

// notReadable says of a source that can't be opened what to check; more is added
// to that.
func notReadable(err error, path, more string) error {
	e := &protocol.Error{Kind: protocol.KindImage, Err: err}
	if errors.Is(err, os.ErrNotExist) {
		e.Hint = fmt.Sprintf("check that %s is right%s", path, more)
	}
	if errors.Is(err, os.ErrPermission) {
		e.Hint = "use what you may read, or pipe it in as a tar that somebody made who may"
	}
	return e
}

// contextReader stops reading when the context ends.
type contextReader struct {
	ctx context.Context
	io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}
