package jail

import (
	"errors"
	"slices"
	"testing"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

var all = []Layer{Cgroup, Landlock, Namespaces, Privileges, Rlimits, Seccomp}

// hostWithout returns what a host gives that has not all layers.
func hostWithout(missing ...Layer) Support {
	s := Support{parents: []string{"/cg"}}
	for _, l := range all {
		if slices.Contains(missing, l) {
			s.Missing = append(s.Missing, Missing{Layer: l, Reason: "not here", Hint: "get it"})
		} else {
			s.Layers = append(s.Layers, l)
		}
	}
	return s
}

func TestHowMuchIsEnough(t *testing.T) {
	for _, test := range []struct {
		missing               []Layer
		byDefault, whenStrict bool
	}{
		{nil, true, true},
		{[]Layer{Cgroup}, true, false},
		{[]Layer{Namespaces}, true, false},
		{[]Layer{Landlock}, true, false},
		{[]Layer{Namespaces, Cgroup}, true, false},
		{[]Layer{Namespaces, Landlock}, false, false},
		{[]Layer{Seccomp}, false, false},
		{all, false, false},
	} {
		s := hostWithout(test.missing...)
		for security, want := range map[Security]bool{Default: test.byDefault, Strict: test.whenStrict, Off: true} {
			p, err := s.Plan(security, "abc")
			if (err == nil) != want || (s.Enough(security) == nil) != want {
				t.Errorf("%s without %v: %v", security, test.missing, err)
			}
			if err != nil {
				if !errors.Is(err, protocol.KindUnsupported) || protocol.HintOf(err) == "" {
					t.Errorf("%s without %v: %v has the wrong kind, or no hint", security, test.missing, err)
				}
				continue
			}
			if security == Off {
				if len(p.Layers) != 0 || p.Security != Off {
					t.Errorf("off: %+v", p)
				}
				continue
			}
			if !slices.Equal(p.Layers, s.Layers) || len(p.Missing) != len(test.missing) {
				t.Errorf("%s without %v: %+v", security, test.missing, p)
			}
		}
	}
}

func TestParseSecurity(t *testing.T) {
	for text, want := range map[string]Security{"": Default, "default": Default, "strict": Strict, "off": Off} {
		if got, err := ParseSecurity(text); got != want || err != nil {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"on", "Strict", "none"} {
		if _, err := ParseSecurity(text); !errors.Is(err, protocol.KindInvalidArgument) || protocol.HintOf(err) == "" {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestEveryLayerSaysWhatItGives(t *testing.T) {
	for _, l := range append([]Layer{Sandbox}, all...) {
		if l.Gives() == "" {
			t.Errorf("%s does not", l)
		}
	}
}
