package main

import (
	"strings"
	"testing"

	"github.com/boxlite-go/boxlite"
)

const testLayer = "sha256:0123456789abcdef"

func TestProgressWithoutTerminal(t *testing.T) {
	for name, c := range map[string]struct {
		events []boxlite.Progress
		want   string
	}{
		"nothing to do": {[]boxlite.Progress{{Phase: "resolve"}}, ""},
		"all is there":  {[]boxlite.Progress{{Phase: "download", Layer: testLayer, Done: 5, Total: 5}}, ""},
		"small disk":    {[]boxlite.Progress{{Phase: "convert", Done: 0, Total: 5}, {Phase: "convert", Done: 5, Total: 5}}, ""},
		"download": {
			[]boxlite.Progress{
				{Phase: "resolve"},
				{Phase: "download", Layer: testLayer, Total: 2000},
				{Phase: "download", Layer: testLayer, Done: 1000, Total: 2000},
				{Phase: "download", Layer: testLayer, Done: 2000, Total: 2000},
				{Phase: "download", Layer: testLayer, Done: 2000, Total: 2000},
				{Phase: "convert", Done: 0, Total: 3000},
				{Phase: "convert", Done: 3000, Total: 3000},
			},
			"fetching a:b\n0123456789ab: 2.0 KB\nroot disk: 3.0 KB\n",
		},
	} {
		var out strings.Builder
		p := newProgress(&out, "a:b")
		for _, e := range c.events {
			p.update(e)
		}
		p.close()
		if out.String() != c.want {
			t.Errorf("%s: got %q, want %q", name, out.String(), c.want)
		}
	}
}

func TestBars(t *testing.T) {
	for want, l := range map[string]layer{
		"layer         500 B": {key: "layer", done: 500},
		"layer         " + strings.Repeat("█", 15) + strings.Repeat("░", 15) + "  500 B / 1.0 KB": {key: "layer", done: 500, total: 1000},
		"layer         " + strings.Repeat("█", 30) + "  2.0 KB / 1.0 KB":                          {key: "layer", done: 2000, total: 1000},
	} {
		if got := l.bar(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
