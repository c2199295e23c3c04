package image

import (
	"errors"
	"os"

	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/opencontainers/go-digest"
)

// spareFile is a copy of the index, for the case that the index is damaged.
const spareFile = "index.json.spare"

// readIndex needs no lock: the file is only ever replaced as a whole. An index that
// is lost or damaged is made again: from its copy, or, without the names of the
// images, from the manifests that are there.
func (s *Store) readIndex() (*index, error) {
	i, err := s.readIndexFile(indexFile)
	if err == nil || errors.Is(err, protocol.KindUnsupported) || errors.Is(err, os.ErrPermission) {
		return i, err
	}
	spare, spareErr := s.readIndexFile(spareFile)
	switch {
	case spareErr == nil:
		return spare, nil
	case errors.Is(err, os.ErrNotExist) && errors.Is(spareErr, os.ErrNotExist):
		return &index{Version: indexVersion}, nil // of a new store
	}
	return s.rebuildIndex(), nil
}

// rebuildIndex finds the images of which the store has manifest and configuration.
func (s *Store) rebuildIndex() *index {
	i := &index{Version: indexVersion}
	files, _ := os.ReadDir(s.path(blobsDir)) // without it, there are none
	for _, f := range files {
		info, err := f.Info()
		if err != nil || info.Size() > maxManifestBytes {
			continue
		}
		d := digest.NewDigestFromEncoded(digest.SHA256, f.Name())
		manifest, err := s.readManifest(d)
		if err != nil || manifest.Config.Digest == "" {
			continue // most blobs are something else
		}
		config, err := s.readConfig(manifest.Config.Digest)
		if err != nil {
			continue
		}
		r := record{Digest: d, ID: manifest.Config.Digest, Platform: platformString(config.Platform), Size: manifest.size()}
		if config.Created != nil {
			r.Created = *config.Created
		}
		i.put(r)
	}
	return i
}

// repairIndex writes down what was made again. The store must be locked.
func (s *Store) repairIndex() {
	_, err := s.readIndexFile(indexFile)
	_, spareErr := s.readIndexFile(spareFile)
	if err == nil && spareErr == nil || errors.Is(err, os.ErrNotExist) && errors.Is(spareErr, os.ErrNotExist) {
		return
	}
	if i, err := s.readIndex(); err == nil {
		_ = s.writeIndex(i) // or else it is made again each time
	}
}
