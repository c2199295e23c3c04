package console

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestConsoleIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "console.log")
	c, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Repeat("x", 99) + "\n"
	c.Copy(io.NopCloser(io.MultiReader(
		strings.NewReader("first\n"), strings.NewReader(strings.Repeat(line, 50_000)), strings.NewReader("last\n"),
	)))
	c.Wait()
	var size int64
	files, err := filepath.Glob(path + "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if len(files) != 2 || size > 2*maxConsole {
		t.Errorf("%d bytes are in %q", size, files)
	}
	end, err := os.ReadFile(path)
	if err != nil || !bytes.HasSuffix(end, []byte("\nlast\n")) {
		t.Errorf("the file ends with %q, %v", end[max(0, len(end)-20):], err)
	}
	if got := c.Tail(); len(got) != maxConsoleTail || !strings.HasSuffix(got, "\nlast\n") {
		t.Errorf("the tail has %d bytes and ends with %q", len(got), got[len(got)-10:])
	}
}

func TestConsoleSurvivesItsFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "box")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	c, err := Open(filepath.Join(dir, "console.log"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	c.Copy(io.NopCloser(strings.NewReader(strings.Repeat("x", 2*maxConsole) + "end")))
	if got := c.tail.LastLine(); !strings.HasSuffix(got, "end") {
		t.Errorf("the tail ends with %q", got[max(0, len(got)-10):])
	}
}

func TestTail(t *testing.T) {
	tail := NewTail(4)
	for _, step := range []struct{ write, want, line string }{
		{"", "", ""},
		{"ab", "ab", "ab"},
		{"c\n", "abc\n", "abc"},
		{"defgh", "efgh", "efgh"},
		{"i", "fghi", "fghi"},
		{"\n \n", "i\n \n", "i"},
	} {
		if n, err := tail.Write([]byte(step.write)); n != len(step.write) || err != nil {
			t.Errorf("Write returns %d, %v", n, err)
		}
		if got := tail.String(); got != step.want || tail.LastLine() != step.line {
			t.Errorf("after %q: %q, last line %q", step.write, got, tail.LastLine())
		}
	}
}
