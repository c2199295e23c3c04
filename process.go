package boxlite

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/boxlite-go/boxlite/internal/box"
	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

// containerFor describes the container of a box for the agent: what was asked
// for, over what the image says.
func containerFor(c *box.Config, image *ocispec.ImageConfig) (*boxlitev1.ContainerInitRequest, error) {
	args, err := mainArgs(c, image)
	if err != nil {
		return nil, err
	}
	signal, err := parseSignal(cmp.Or(c.StopSignal, image.StopSignal))
	if err != nil {
		return nil, &Error{Kind: ErrImage, Op: "read the image's stop signal", Box: c.Label(), Err: err}
	}
	r := &boxlitev1.ContainerInitRequest{
		ImageDisk: protocol.SerialImage, BoxDisk: protocol.SerialBox,
		Env: mergeEnv(mergeEnv(image.Env, secretEnv(c)), c.Env), Dir: firstNonEmpty(c.Dir, image.WorkingDir), User: firstNonEmpty(c.User, image.User),
		Hostname: cmp.Or(c.Hostname, c.ID), StopSignal: signal, Capabilities: capabilitySet(c.Capabilities),
	}
	if len(args) > 0 {
		r.Main = &boxlitev1.Process{Args: protocol.Bytes(args), Tty: c.TTY}
		r.MainStdin = c.Stdin
	}
	return r, nil
}

// mainArgs returns the main process by Docker's rules, or nothing if the box
// idles.
func mainArgs(c *box.Config, image *ocispec.ImageConfig) ([]string, error) {
	if !c.ImageCommand && c.Entrypoint == nil && c.Cmd == nil {
		return nil, nil
	}
	entrypoint, cmd := c.Entrypoint, c.Cmd
	if entrypoint == nil {
		entrypoint = image.Entrypoint
		if cmd == nil {
			cmd = image.Cmd
		}
	}
	if slices.Equal(entrypoint, []string{""}) {
		entrypoint = nil // how Docker's command line clears the image's
	}
	args := slices.Concat(entrypoint, cmd)
	if len(args) == 0 {
		return nil, &Error{
			Kind: ErrInvalidArgument, Op: "start the box", Box: c.Label(),
			Err:  errors.New("there is no command to run: none was given, and the image has none"),
			Hint: "give a command after the image",
		}
	}
	return args, nil
}

// mergeEnv returns base with the variables of over added or replaced.
func mergeEnv(base, over []string) []string {
	merged := make([]string, 0, len(base)+len(over))
	at := make(map[string]int, cap(merged))
	for _, e := range slices.Concat(base, over) {
		key, _, _ := strings.Cut(e, "=")
		if i, ok := at[key]; ok {
			merged[i] = e
			continue
		}
		at[key] = len(merged)
		merged = append(merged, e)
	}
	return merged
}

func firstNonEmpty(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
