package boxlite

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

func TestCapabilitySet(t *testing.T) {
	all, docker := protocol.AllCapabilities.Names(), protocol.DefaultCapabilities.Names()
	without := func(names []string, out ...string) []string {
		return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return slices.Contains(out, n) })
	}
	for _, c := range []struct {
		add, drop string
		want      []string
	}{
		{"cap_net_admin", "", slices.Insert(slices.Clone(docker), slices.Index(docker, "NET_RAW"), "NET_ADMIN")},
		{"", "chown Cap_MKNOD", without(docker, "CHOWN", "MKNOD")},
		{"chown", "CHOWN", docker}, // as in Docker: added last
		{"all", "", all},
		{"ALL", "net_admin", without(all, "NET_ADMIN")},
		{"ALL", "ALL", all},
		{"", "ALL", nil},
		{"chown net_raw", "all kill", []string{"CHOWN", "NET_RAW"}},
		{"", "SYS_ADMIN", docker},
	} {
		checked, err := checkCapabilities("test", Capabilities{Add: strings.Fields(c.add), Drop: strings.Fields(c.drop)})
		if err != nil {
			t.Fatal(err)
		}
		set := capabilitySet(checked)
		if got := protocol.Capabilities(*set).Names(); !slices.Equal(got, c.want) {
			t.Errorf("add %q, drop %q: got %v, want %v", c.add, c.drop, got, c.want)
		}
	}
	if capabilitySet(Capabilities{}) != nil {
		t.Error("none given are not the default")
	}
}

func TestCapabilitiesAreChecked(t *testing.T) {
	for _, name := range []string{"SYS_ADMIN", "cap_sys_ptrace", "bpf"} {
		err := BoxSpec{Capabilities: Capabilities{Add: []string{name}}}.Validate()
		if !errors.Is(err, ErrUnsupported) || HintOf(err) == "" {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for name, hint := range map[string]string{
		"NET_ADMN": "did you mean NET_ADMIN?", "cap_chwon": "did you mean CHOWN?", "": "capabilities(7)", "CAP_": "capabilities(7)", "nonsense": "capabilities(7)",
	} {
		for _, c := range []Capabilities{{Add: []string{name}}, {Drop: []string{name}}} {
			err := BoxSpec{Capabilities: c}.Validate()
			if !errors.Is(err, ErrInvalidArgument) || !strings.Contains(HintOf(err), hint) {
				t.Errorf("%q: got %v, with hint %q", name, err, HintOf(err))
			}
		}
	}
}
