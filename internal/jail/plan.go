package jail

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// Security is how much of a jail a box must have.
type Security string

const (
	// Default takes every layer that the host gives, and refuses to start without
	// seccomp, or with neither namespaces nor Landlock.
	Default Security = "default"
	// Strict refuses to start without every layer.
	Strict Security = "strict"
	// Off has no jail at all.
	Off Security = "off"
)

// ParseSecurity checks a value that a user gave. Empty means Default.
func ParseSecurity(s string) (Security, error) {
	switch security := Security(s); security {
	case "":
		return Default, nil
	case Default, Strict, Off:
		return security, nil
	}
	return "", &protocol.Error{
		Kind: protocol.KindInvalidArgument, Op: "choose the security", Err: fmt.Errorf("there is none called %.40q", s),
		Hint: "choose default, strict or off",
	}
}

// Plan is the jail of one box, as the library decides it and the shim builds it.
type Plan struct {
	Security Security `json:"security"`
	// Layers are those that are built. Starting fails if one can't be.
	Layers []Layer `json:"layers"`
	// Missing are the layers that the box does without.
	Missing []Missing `json:"missing,omitempty"`
	// Cgroups are the folders of the cgroup, one for each hierarchy; not there yet.
	Cgroups []string `json:"cgroups,omitempty"`
}

// Missing is a layer that a host can't give, and why.
type Missing struct {
	Layer  Layer  `json:"layer"`
	Reason string `json:"reason"`
	Hint   string `json:"hint,omitempty"`
}

// String says both in one line.
func (m Missing) String() string { return fmt.Sprintf("%s: %s", m.Layer, m.Reason) }

// Has reports whether the plan has a layer.
func (p Plan) Has(l Layer) bool { return slices.Contains(p.Layers, l) }

// Support is what a host can give.
type Support struct {
	// Layers and Missing together are all that this system could have.
	Layers  []Layer
	Missing []Missing
	// Details tell more of some layers, such as a version.
	Details map[Layer]string
	// parents are the folders in which cgroups can be made, one for each hierarchy.
	parents []string
}

// Plan returns the jail of the box in dir, a folder named after its ID; or an error of
// kind Unsupported if what the host gives is not enough.
func (s Support) Plan(security Security, dir string) (Plan, error) {
	if security == Off {
		return Plan{Security: Off}, nil
	}
	if err := s.enough(security); err != nil {
		return Plan{}, err
	}
	p := Plan{Security: security, Layers: s.Layers, Missing: s.Missing}
	if p.Has(Cgroup) {
		p.Cgroups = cgroupDirs(s.parents, CgroupName(dir))
	}
	return p, nil
}

// Enough returns an error if no box can be started with this security.
func (s Support) Enough(security Security) error {
	if security == Off {
		return nil
	}
	return s.enough(security)
}

func (s Support) enough(security Security) error {
	var lacking []Missing
	for _, m := range s.Missing {
		if security == Strict || s.needed(m.Layer) {
			lacking = append(lacking, m)
		}
	}
	if len(lacking) == 0 {
		return nil
	}
	reasons := make([]string, 0, len(lacking))
	for _, m := range lacking {
		reasons = append(reasons, m.String())
	}
	hint := "see boxlite doctor"
	for _, m := range lacking {
		if m.Hint != "" {
			hint = m.Hint
			break
		}
	}
	if security == Strict {
		hint += "; or choose the security \"default\", which does without"
	}
	return &protocol.Error{
		Kind: protocol.KindUnsupported, Op: fmt.Sprintf("build the jail (security %q)", security),
		Err: errors.New(strings.Join(reasons, "; ")), Hint: hint,
	}
}

// needed reports whether even the default can't do without a missing layer.
func (s Support) needed(l Layer) bool {
	switch l {
	case Seccomp, Sandbox:
		return true
	case Namespaces:
		return !slices.Contains(s.Layers, Landlock)
	case Landlock:
		return !slices.Contains(s.Layers, Namespaces)
	}
	return false
}
