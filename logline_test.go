package boxlite

import (
	"strings"
	"testing"
	"time"
)

func TestParseLogLine(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	const stamp = "2026-01-02T03:04:05.000000006Z"
	for _, c := range []struct {
		line string
		want LogLine
	}{
		{stamp + " stdout F text\n", LogLine{at, "stdout", "text\n"}},
		{stamp + " stderr F two  words \n", LogLine{at, "stderr", "two  words \n"}},
		{stamp + " stdout P begin\n", LogLine{at, "stdout", "begin"}},
		{stamp + " stdout F \n", LogLine{at, "stdout", "\n"}},
		{stamp + " stdout P \n", LogLine{at, "stdout", ""}},
		// What a killed shim left is shown as it is.
		{stamp + " stdout F te", LogLine{at, "stdout", "te"}},
		{stamp + " stdout", LogLine{Stream: "stdout", Text: stamp + " stdout"}},
		{stamp + " other F text\n", LogLine{Stream: "stdout", Text: stamp + " other F text\n"}},
		{stamp + " stdout X text\n", LogLine{Stream: "stdout", Text: stamp + " stdout X text\n"}},
		{"garbage\n", LogLine{Stream: "stdout", Text: "garbage\n"}},
		{"", LogLine{Stream: "stdout"}},
	} {
		if got := parseLogLine([]byte(c.line)); !got.Time.Equal(c.want.Time) || got.Stream != c.want.Stream || got.Text != c.want.Text {
			t.Errorf("%q: got %+v, want %+v", c.line, got, c.want)
		}
	}
}

func FuzzParseLogLine(f *testing.F) {
	f.Add([]byte("2026-01-02T03:04:05.000000006Z stdout F text\n"))
	f.Add([]byte("2026-01-02T03:04:05Z stderr P text"))
	f.Fuzz(func(t *testing.T, data []byte) {
		line := parseLogLine(data)
		if !strings.HasSuffix(strings.TrimSuffix(string(data), "\n"), strings.TrimSuffix(line.Text, "\n")) {
			t.Errorf("%q becomes %q", data, line.Text)
		}
		if line.Stream != "stdout" && line.Stream != "stderr" {
			t.Errorf("%q is of stream %q", data, line.Stream)
		}
	})
}
