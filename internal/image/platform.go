package image

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/boxlite-go/boxlite/internal/protocol"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// parsePlatform parses "os/architecture" or "os/architecture/variant".
func parsePlatform(s string) (ocispec.Platform, error) {
	parts := strings.Split(s, "/")
	if len(parts) < 2 || len(parts) > 3 || slices.Contains(parts, "") {
		return ocispec.Platform{}, &protocol.Error{
			Kind: protocol.KindInvalidArgument, Err: fmt.Errorf("%q is not a platform", s),
			Hint: "platforms are such as linux/amd64 or linux/arm64",
		}
	}
	p := ocispec.Platform{OS: parts[0], Architecture: parts[1]}
	if len(parts) == 3 {
		p.Variant = parts[2]
	}
	return p, nil
}

func platformString(p ocispec.Platform) string {
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// satisfies reports whether an image for one platform runs on another. A platform
// without a variant means any.
func satisfies(have, want ocispec.Platform) bool {
	return have.OS == want.OS && have.Architecture == want.Architecture &&
		(want.Variant == "" || have.Variant == "" || have.Variant == want.Variant)
}

// choose returns the manifest for a platform. Entries for "unknown" platforms are
// attestations, not images.
func choose(manifests []ocispec.Descriptor, want ocispec.Platform) (ocispec.Descriptor, error) {
	var have []string
	for _, m := range manifests {
		switch {
		case m.Platform == nil:
			if len(manifests) == 1 {
				return m, nil
			}
		case satisfies(*m.Platform, want):
			return m, nil
		case m.Platform.OS != "unknown":
			have = append(have, platformString(*m.Platform))
		}
	}
	return ocispec.Descriptor{}, wrongPlatform(want, have)
}

func wrongPlatform(want ocispec.Platform, have []string) error {
	if len(have) == 0 {
		return invalid(errors.New("it says for no platform what it is"), "ask for it by the digest of one of its manifests")
	}
	return invalid(
		fmt.Errorf("there is no image for %s, only for %s", platformString(want), strings.Join(have, ", ")),
		"boxes run the host's own architecture; to fetch another one all the same, name it with --platform")
}
