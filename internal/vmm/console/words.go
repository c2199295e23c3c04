package console

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// PanicMarker begins the line with which Linux says why it panicked.
const PanicMarker = "Kernel panic - not syncing"

const (
	// maxWords and maxWordBytes bound what is repeated of a console.
	maxWords     = 10
	maxWordBytes = 2 << 10
)

// escapes are sequences that colour or move, of ECMA-48.
var escapes = regexp.MustCompile(`\x1b(\[[0-?]*[ -/]*[@-~]|[@-Z\\-_])`)

// LastWords returns the last lines of a console that are not blank, made fit to
// print. The kernel follows a panic by the state of its CPUs: after one, they are
// the lines before.
func LastWords(console string) string {
	if at := strings.LastIndex(console, PanicMarker); at >= 0 {
		console = console[:strings.LastIndexByte(console[:at], '\n')+1]
	}
	var words []string
	left := maxWordBytes
	for _, line := range slices.Backward(strings.FieldsFunc(console, isLineEnd)) {
		if line = printable(line); line == "" {
			continue
		}
		if left -= len(line); left < 0 || len(words) == maxWords {
			break
		}
		words = append(words, line)
	}
	slices.Reverse(words)
	return strings.Join(words, "\n")
}

func isLineEnd(r rune) bool { return r == '\n' || r == '\r' }

func printable(line string) string {
	line = escapes.ReplaceAllString(strings.ToValidUTF8(line, "?"), "")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == '\t' {
			return ' '
		}
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, line))
}
