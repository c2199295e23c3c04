package assets

import (
	"fmt"
	"io"
	"runtime"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// BaseReference is the name of the embedded base image.
const BaseReference = "boxlite/base"

// BaseConfig returns the configuration of the base image.
func BaseConfig() ocispec.ImageConfig {
	return ocispec.ImageConfig{
		Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		Cmd: []string{"/bin/sh"},
		Labels: map[string]string{
			ocispec.AnnotationTitle:    BaseReference,
			ocispec.AnnotationLicenses: "GPL-2.0-only AND MPL-2.0",
			ocispec.AnnotationSource:   "https://github.com/boxlite-go/boxlite/tree/main/internal/assets/base",
		},
	}
}

// BaseImage returns the root filesystem of the base image as a plain tar
// archive, which is decompressed while it is read. The caller closes it.
func BaseImage() (io.ReadCloser, error) {
	if baseRootfs == "" {
		return nil, &protocol.Error{
			Kind: protocol.KindUnsupported, Op: "read image " + BaseReference, Hint: hintArchitecture,
			Err: fmt.Errorf("it does not exist for %s", runtime.GOARCH),
		}
	}
	r, err := open(baseRootfs)
	if err != nil {
		return nil, &protocol.Error{Kind: protocol.KindInternal, Op: "read image " + BaseReference, Hint: hintDamaged, Err: err}
	}
	return r, nil
}
