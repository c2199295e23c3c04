package boxlite

import (
	"slices"

	"github.com/boxlite-go/boxlite/internal/jail"
)

// Security is how much of a jail must be around a box's virtual machine.
type Security = jail.Security

const (
	// SecurityDefault takes every layer that the host gives. Without seccomp, or with
	// neither namespaces nor Landlock, a box does not start.
	SecurityDefault = jail.Default
	// SecurityStrict starts a box with every layer, or not at all.
	SecurityStrict = jail.Strict
	// SecurityOff does without a jail. The virtual machine still isolates the box; what
	// breaks out of it has all rights of the user who started it.
	SecurityOff = jail.Off
)

// Isolation is what stands between a box and its host.
type Isolation struct {
	// Machine is "hardware VM", or "emulated VM" if the host's KVM can't be used.
	Machine string `json:"machine"`
	// Security is what was asked for.
	Security Security `json:"security"`
	// Layers are those of the jail around the virtual machine: "namespaces",
	// "landlock", "seccomp", "cgroup", "rlimits", "privileges"; on macOS
	// "sandbox-exec".
	Layers []string `json:"layers"`
	// Missing are the layers that the host does not give.
	Missing []MissingLayer `json:"missing"`
}

// MissingLayer is a layer of the jail that a host does not give.
type MissingLayer struct {
	Layer  string `json:"layer"`
	Reason string `json:"reason"`
	Hint   string `json:"hint"`
}

func isolationOf(machine string, p jail.Plan) Isolation {
	i := Isolation{Machine: machine, Security: p.Security, Layers: []string{}, Missing: []MissingLayer{}}
	for _, l := range slices.Sorted(slices.Values(p.Layers)) {
		i.Layers = append(i.Layers, string(l))
	}
	for _, m := range p.Missing {
		i.Missing = append(i.Missing, MissingLayer{Layer: string(m.Layer), Reason: m.Reason, Hint: m.Hint})
	}
	return i
}
