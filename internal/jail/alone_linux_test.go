package jail

import (
	"fmt"
	"os"
	"slices"
	"testing"
)

// holdsAlone checks that a layer holds attacks with no other to help it, but for
// privileges, which some layers take.
func holdsAlone(t *testing.T, l Layer, attacks ...string) {
	t.Helper()
	s, err := Probe(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(s.Layers, l) {
		t.Skipf("this host gives no %s: %v", l, s.Missing)
	}
	s.Layers = []Layer{l}
	if l != Privileges {
		s.Layers = append(s.Layers, Privileges)
	}
	p, err := Support{Layers: append(s.Layers, Seccomp, Landlock), parents: s.parents}.Plan(Default, fmt.Sprintf("alone%d", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	p.Layers = s.Layers
	task := newTarget(t).task(RoleQEMU, p)
	task.Only = attacks
	for _, name := range runHostile(t, buildHostile(t), p, RoleQEMU, task) {
		t.Errorf("%s: it succeeded", name)
	}
}
