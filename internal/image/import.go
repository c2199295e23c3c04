package image

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/boxlite-go/boxlite/internal/image/flatten"
	"github.com/boxlite-go/boxlite/internal/image/layer"
	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/boxlite-go/boxlite/internal/stage"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// open opens the source's file, or standard input. The origin is nil for what
// can't be recognised later.
func (p *puller) open(ctx context.Context) (io.ReadCloser, *origin, error) {
	if p.source.path == stdin {
		if p.stdin == nil {
			return nil, nil, &protocol.Error{Kind: protocol.KindInvalidArgument, Err: errors.New("there is no standard input to read")}
		}
		return io.NopCloser(p.stdin), nil, nil
	}
	f, err := os.Open(p.source.path)
	if err != nil {
		return nil, nil, notReadable(err, p.source.path, "")
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	if info.IsDir() && p.source.scheme == schemeRootfs {
		f.Close()
		return tarFolder(ctx, p.source.path), nil, nil
	}
	if info.IsDir() {
		f.Close()
		return nil, nil, invalid(fmt.Errorf("%s is a directory", p.source.path),
			fmt.Sprintf("pipe it in: tar -C %s -c . | boxlite run %s:- …", p.source.path, p.source.scheme))
	}
	if !info.Mode().IsRegular() {
		return f, nil, nil
	}
	return f, &origin{Source: p.source.String(), Size: info.Size(), ModTime: info.ModTime()}, nil
}

// imported returns the image that was imported from a file, if the file is still
// the same, or gone.
func (s *Store) imported(images []Image, src source, platform ocispec.Platform) (Image, bool) {
	info, err := os.Stat(src.path)
	gone := errors.Is(err, os.ErrNotExist) && src.path != stdin
	index, err := s.readIndex()
	if err != nil {
		return Image{}, false
	}
	for _, r := range index.Images {
		same := r.Origin != nil && r.Origin.Source == src.String() && info != nil &&
			r.Origin.Size == info.Size() && r.Origin.ModTime.Equal(info.ModTime())
		if !same && !(gone && r.Reference == src.String()) {
			continue
		}
		for _, i := range match(images, r.Digest.String(), r.Platform) {
			if have, err := parsePlatform(i.Platform); err == nil && satisfies(have, platform) {
				return i, true
			}
		}
	}
	return Image{}, false
}

// importRootfs imports a tar, or a folder, of a root filesystem as an image of one layer.
func (p *puller) importRootfs(ctx context.Context) (Image, error) {
	in, from, err := p.open(ctx)
	if err != nil {
		return Image{}, err
	}
	defer in.Close()
	b, err := p.copyBlob(ctx, in, p.store.opts.Limits.Bytes, p.importProgress(from))
	if err != nil {
		return Image{}, err
	}
	l, diffID, err := p.describeLayer(ctx, b)
	if err != nil {
		return Image{}, err
	}
	config := &ocispec.Image{
		Platform: p.platform,
		Config:   ocispec.ImageConfig{Cmd: []string{"/bin/sh"}},
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{diffID}},
	}
	configJSON, err := json.Marshal(config)
	if err != nil {
		return Image{}, err
	}
	reference := p.source.String()
	if p.source.path == stdin {
		reference = schemeRootfs + ":" + b.digest.Encoded()[:12]
	}
	return p.assemble(ctx, reference, configJSON, config, []ocispec.Descriptor{l}, []blob{b}, from)
}

func (p *puller) importProgress(from *origin) func(int64) {
	var total int64
	if from != nil {
		total = from.Size
	}
	return func(n int64) { p.reporter.report(Progress{Phase: "download", Done: n, Total: total}) }
}

// describeLayer returns the descriptor and the DiffID of a layer that says
// neither itself.
func (p *puller) describeLayer(ctx context.Context, b blob) (ocispec.Descriptor, digest.Digest, error) {
	desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: b.digest, Size: b.size}
	compression, err := checkTar(b.path)
	if err != nil {
		return desc, "", err
	}
	switch compression {
	case layer.Gzip:
		desc.MediaType = ocispec.MediaTypeImageLayerGzip
	case layer.Zstd:
		desc.MediaType = ocispec.MediaTypeImageLayerZstd
	default:
		return desc, b.digest, nil
	}
	f, err := os.Open(b.path)
	if err != nil {
		return desc, "", err
	}
	defer f.Close()
	r, err := layer.NewReader(f)
	if err != nil {
		return desc, "", err
	}
	defer r.Close()
	limit := p.store.opts.Limits.Bytes
	sum := digest.SHA256.Digester()
	n, err := io.Copy(sum.Hash(), contextReader{ctx, io.LimitReader(r, limit+1)})
	if err == nil && n > limit {
		err = tooLong(limit, flatten.HintBytes)
	}
	return desc, sum.Digest(), err
}

// checkTar reads the first header of what should be a tar, compressed or not.
func checkTar(path string) (layer.Compression, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	r, err := layer.NewReader(f)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	if _, err := tar.NewReader(r).Next(); err != nil {
		return 0, invalid(fmt.Errorf("it is not a tar archive: %w", err), "a tar archive may be plain, or compressed with gzip or zstd")
	}
	return r.Compression, nil
}

// assemble makes an image of a configuration and layers, for which there is no
// manifest yet.
func (p *puller) assemble(ctx context.Context, reference string, configJSON []byte, config *ocispec.Image, layers []ocispec.Descriptor, blobs []blob, from *origin) (Image, error) {
	manifest, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: digest.FromBytes(configJSON), Size: int64(len(configJSON))},
		Layers:    layers,
	})
	if err != nil {
		return Image{}, err
	}
	doc, err := parseDocument(manifest)
	if err != nil {
		return Image{}, err
	}
	if err := p.checkConfig(doc, config); err != nil {
		return Image{}, err
	}
	if err := p.keep(ctx, append(doc.digests(), digest.FromBytes(manifest))...); err != nil {
		return Image{}, err
	}
	for _, b := range blobs {
		if !exists(b.path) {
			continue // it has been adopted, under another name of the image
		}
		stage.Reached("pull/blob", reference)
		if err := p.adopt(b); err != nil {
			return Image{}, err
		}
	}
	if _, err := p.putBlob(ctx, configJSON); err != nil {
		return Image{}, err
	}
	return p.commit(ctx, reference, manifest, doc, config, from)
}
