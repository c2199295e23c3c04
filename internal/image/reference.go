package image

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/google/go-containerregistry/pkg/name"
)

// The kinds of sources that an image may come from.
const (
	schemeRegistry = ""
	schemeOCI      = "oci"
	schemeArchive  = "docker-archive"
	schemeRootfs   = "rootfs"
)

// stdin is the file name that stands for standard input.
const stdin = "-"

// source is a parsed reference.
type source struct {
	scheme   string
	registry name.Reference // of an image in a registry
	path     string         // of a file or directory, absolute, or stdin
	ref      string         // which image of an OCI layout, or empty
}

// parseSource parses what a user calls an image.
func parseSource(ref string) (source, error) {
	scheme, rest, _ := strings.Cut(ref, ":")
	switch scheme {
	case schemeOCI, schemeArchive, schemeRootfs:
		return parseFile(scheme, rest)
	}
	r, err := name.ParseReference(ref)
	// The library takes any word with a dot for a host, so that a path such as
	// ../app would be asked of a registry.
	if err != nil || strings.HasPrefix(ref, ".") {
		return source{}, &protocol.Error{
			Kind: protocol.KindInvalidArgument, Err: fmt.Errorf("%q is not the name of an image", ref),
			Hint: "names are such as alpine, alpine:3.20 or ghcr.io/owner/name@sha256:…, or for files oci:DIR, docker-archive:FILE and rootfs:FILE",
		}
	}
	return source{registry: r}, nil
}

func parseFile(scheme, rest string) (source, error) {
	s := source{scheme: scheme, path: rest}
	if scheme == schemeOCI {
		s.path, s.ref, _ = strings.Cut(rest, ":")
	}
	if s.path == "" || scheme == schemeOCI && s.path == stdin {
		return source{}, &protocol.Error{
			Kind: protocol.KindInvalidArgument, Err: fmt.Errorf("%s: names no file", scheme),
			Hint: "write oci:DIR, docker-archive:FILE or rootfs:FILE",
		}
	}
	if s.path == stdin {
		return s, nil
	}
	path, err := filepath.Abs(s.path)
	if err != nil {
		return source{}, err
	}
	s.path = path
	return s, nil
}

// String returns the full form of the reference.
func (s source) String() string {
	switch {
	case s.scheme == schemeRegistry:
		return fullName(s.registry)
	case s.ref != "":
		return s.scheme + ":" + s.path + ":" + s.ref
	}
	return s.scheme + ":" + s.path
}

// fullName is the name that docker prints, with the registry's public host.
func fullName(r name.Reference) string {
	n := r.Name()
	if rest, ok := strings.CutPrefix(n, name.DefaultRegistry+"/"); ok {
		return "docker.io/" + rest
	}
	return n
}

// normalise returns the full form of a reference, or ref itself if it is none.
func normalise(ref string) string {
	s, err := parseSource(ref)
	if err != nil {
		return ref
	}
	return s.String()
}

// isEmbedded reports whether ref names the image that is part of the program. It
// is never looked for in a registry.
func (s *Store) isEmbedded(ref string) bool {
	own := s.opts.Embedded.Reference
	return own != "" && (ref == own || ref == own+":latest")
}
