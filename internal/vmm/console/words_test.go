package console

import (
	"strings"
	"testing"
	"unicode"
)

func TestLastWords(t *testing.T) {
	numbered := strings.Fields("l01 l02 l03 l04 l05 l06 l07 l08 l09 l10 l11 l12")
	for _, test := range []struct {
		name, console string
		want          []string
	}{
		{"nothing", "", nil},
		{"blank lines", "\n \r\n\t\n", nil},
		{"no line end", "a\nb", []string{"a", "b"}},
		{"the last ten", strings.Join(numbered, "\r\n"), numbered[2:]},
		{"control characters", "\x1b[1;31mred\x1b[0m\x07\x00 \x1bMup\tx\u0085\n\xff\n", []string{"red up x", "?"}},
		{"before a panic", "a\nb\n[    1.0] Kernel panic - not syncing: x\nCPU: 0\nRIP: 1\n", []string{"a", "b"}},
		{"a panic at once", "Kernel panic - not syncing: x\nCPU: 0\n", nil},
		{"a line without end", "a\n" + strings.Repeat("x", 4<<10) + "\nb\n", []string{"b"}},
	} {
		if got := LastWords(test.console); got != strings.Join(test.want, "\n") {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func FuzzLastWords(f *testing.F) {
	f.Add("a\r\n\x1b[31mb\nKernel panic - not syncing: c\n")
	f.Fuzz(func(t *testing.T, console string) {
		words := LastWords(console)
		lines := strings.Split(words, "\n")
		if len(lines) > maxWords || len(words) > maxWordBytes+maxWords || strings.ContainsFunc(strings.Join(lines, ""), unicode.IsControl) {
			t.Errorf("%q gives %q", console, words)
		}
	})
}
