package image

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/opencontainers/go-digest"
)

// checkRegistries reports a host name in Options.Registries that can't be one.
func checkRegistries(hosts []string) error {
	for _, host := range hosts {
		_, err := name.NewRepository(host + "/x")
		if err != nil || unqualified(host+"/x") || strings.Contains("/"+host+"/", "//") {
			return &protocol.Error{
				Kind: protocol.KindConfig, Op: "open the image store", Err: fmt.Errorf("%.200q is not a registry", host),
				Hint: "write it as HOST, HOST:PORT or HOST/PATH, without https://",
			}
		}
	}
	return nil
}

// candidates returns what a reference may mean: a name that says no registry is
// looked for in all that are configured, in their order, and nowhere else.
func (s *Store) candidates(ref string) []string {
	if len(s.opts.Registries) == 0 || s.isEmbedded(ref) || !unqualified(ref) {
		return []string{ref}
	}
	var all []string
	for _, host := range s.opts.Registries {
		all = append(all, host+"/"+ref)
	}
	return all
}

// unqualified reports whether a reference is a name that says no registry, by
// docker's rule.
func unqualified(ref string) bool {
	src, err := parseSource(ref)
	if err != nil || src.scheme != schemeRegistry {
		return false
	}
	if _, err := digest.Parse(ref); err == nil {
		return false
	}
	first, _, more := strings.Cut(ref, "/")
	return !more || !strings.ContainsAny(first, ".:") && first != "localhost"
}

// pullFirst pulls the first of the candidates that can be had.
func (s *Store) pullFirst(ctx context.Context, candidates []string, opts PullOptions) (Image, error) {
	var failed error
	for _, ref := range candidates {
		image, err := s.pull(ctx, ref, opts)
		if err == nil {
			return image, nil
		}
		switch err = fail("pull image "+ref, protocol.KindImage, err); {
		case failed == nil:
			failed = err
		default:
			failed = &protocol.Error{
				Kind: protocol.KindOf(err), Err: fmt.Errorf("%w; %w", failed, err),
				Hint: firstHint(failed, err),
			}
		}
		if errors.Is(err, context.Canceled) || ctx.Err() != nil {
			break
		}
	}
	return Image{}, failed
}

func firstHint(errs ...error) string {
	for _, err := range errs {
		if hint := protocol.HintOf(err); hint != "" {
			return hint
		}
	}
	return ""
}
