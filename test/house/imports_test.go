package house

import (
	"slices"
	"strings"
	"testing"
)

// layers are the parts of the project, from the top down. A part is a folder
// and what is below it, up to the next part. It may import itself and the parts
// of the layers below it.
var layers = [][]string{
	{"."},
	{"internal/box"},
	{"internal/image", "internal/disk", "internal/shim"},
	{"internal/vmm/engines", "internal/entry"},
	{"internal/vmm/kvm", "internal/vmm/qemu"}, // every engine is here, so none imports another
	{"internal/vmm", "internal/network"},
	{"internal/portal", "internal/jail", "internal/vmm/kvmprobe", "internal/network/link", "internal/network/policy", "internal/socket"},
	{"internal/assets", "internal/audit", "internal/secret"},
	{"internal/protocol", "internal/durable", "internal/stage", "internal/logfile", "internal/suggest", "kernel"},
}

// apart are the parts outside the layers, with all that each may import. Nothing
// in the layers imports them.
var apart = map[string][]string{
	"cmd/boxlite":       {".", "internal/suggest"},
	"cmd/boxlite-guest": {"internal/guest"},
	"examples":          {"."},
	"internal/guest":    {"internal/portal", "internal/protocol"},
}

// free may import what they like: they measure and check what is inside.
const free = "test"

func TestImportsRunDownwards(t *testing.T) {
	for _, f := range goFiles(t) {
		from := partOf(f.dir())
		if from == "" {
			t.Errorf("%s: its folder has no place yet in the layers of test/house", f.path)
			continue
		}
		if f.isTest() || from == free {
			continue
		}
		for _, dir := range f.imports() {
			if to := partOf(dir); to != from && !mayImport(from, to) {
				t.Errorf("%s: %s must not import %s", f.path, from, dir)
			}
		}
	}
}

// partOf returns the part that a folder belongs to, or "".
func partOf(dir string) string {
	best := ""
	if dir == "." {
		best = "."
	}
	consider := func(part string) {
		if (dir == part || strings.HasPrefix(dir, part+"/")) && len(part) > len(best) {
			best = part
		}
	}
	for _, layer := range layers {
		for _, part := range layer {
			consider(part)
		}
	}
	for part := range apart {
		consider(part)
	}
	consider(free)
	return best
}

func mayImport(from, to string) bool {
	if allowed, ok := apart[from]; ok {
		return slices.Contains(allowed, to)
	}
	below := layerOf(to)
	return below > layerOf(from)
}

// layerOf returns the number of a part's layer, or -1.
func layerOf(part string) int {
	return slices.IndexFunc(layers, func(layer []string) bool { return slices.Contains(layer, part) })
}

func TestTheRuleAboutImports(t *testing.T) {
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{".", "internal/shim", true},
		{"internal/shim", ".", false},
		{"internal/image", "internal/disk", false},
		{"internal/vmm/qemu", "internal/vmm", true},
		{"internal/vmm", "internal/vmm/qemu", false},
		{"internal/vmm/qemu", "internal/vmm/kvm", false},
		{"internal/shim", "internal/guest", false},
		{"internal/guest", "internal/protocol", true},
		{"internal/guest", "internal/assets", false},
		{"cmd/boxlite", "internal/protocol", false},
		{".", "test", false},
	} {
		if got := mayImport(c.from, c.to); got != c.want {
			t.Errorf("%s may import %s: %t", c.from, c.to, got)
		}
	}
	for dir, want := range map[string]string{
		".": ".", "internal/image/flatten": "internal/image", "internal/vmm/qemu/qmp": "internal/vmm/qemu",
		"internal/vmm/kvm/monitor": "internal/vmm/kvm", "internal/vmm/console": "internal/vmm",
		"cmd/boxlite": "cmd/boxlite", "cmd/boxlite-guest": "cmd/boxlite-guest", "elsewhere": "",
	} {
		if got := partOf(dir); got != want {
			t.Errorf("%s belongs to %q, not %q", dir, got, want)
		}
	}
}
