package logfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// writerVariable makes the test's executable a writer, in the folder it names.
const writerVariable = "LOGFILE_TEST_WRITER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerVariable); dir != "" {
		writeForEver(dir)
	}
	os.Exit(m.Run())
}

const (
	testMaxFile = 1 << 10
	testMaxLine = 256
)

func testFiles(dir string) Files { return Files{Path: filepath.Join(dir, "log"), Older: 2} }

// writeForEver writes numbered lines, until it is killed.
func writeForEver(dir string) {
	w, err := OpenWriter(testFiles(dir), testMaxFile)
	for i := 0; err == nil; i++ {
		_, err = fmt.Fprintf(w, "line %d\n", i)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// all reads what is there.
func all(t *testing.T, r *Reader) string {
	t.Helper()
	var text strings.Builder
	for {
		line, err := r.Next()
		if err == nil {
			text.Write(line)
			continue
		}
		if !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if more, err := r.Advance(); err != nil {
			t.Fatal(err)
		} else if !more {
			text.Write(r.Rest())
			return text.String()
		}
	}
}

func readAll(t *testing.T, files Files) string {
	t.Helper()
	r := NewReader(files, Options{MaxLine: testMaxLine, Parts: true})
	defer r.Close()
	return all(t, r)
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestRotationKeepsTheLastFiles(t *testing.T) {
	files := testFiles(t.TempDir())
	w, err := OpenWriter(files, testMaxFile)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var wrote []string
	for i := range 1000 {
		line := fmt.Sprintf("line %d\n", i)
		wrote = append(wrote, line)
		if _, err := io.WriteString(w, line); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(filepath.Dir(files.Path))
	if err != nil || len(entries) != 3 {
		t.Errorf("got %v, %v", entries, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Size() > testMaxFile || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %+v, %v", e.Name(), info, err)
		}
	}
	got := readAll(t, files)
	if len(got) < 2*testMaxFile-100 || !strings.HasSuffix(strings.Join(wrote, ""), got) {
		t.Errorf("got %d bytes, which are not the end of what was written", len(got))
	}
}

// Whatever step a rotation was killed after, all lines are there, and the next
// writer goes on.
func TestKilledRotation(t *testing.T) {
	for name, before := range map[string]map[string]string{
		"before":          {"log.2": "a\n", "log.1": "b\n", "log": "c\n"},
		"after the first": {"log.2": "b\n", "log": "c\n"},
		"after all":       {"log.2": "b\n", "log.1": "c\n"},
		"in a line":       {"log.1": "b\n", "log": "c\nha"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			files := testFiles(dir)
			for file, text := range before {
				put(t, filepath.Join(dir, file), text)
			}
			old := readAll(t, files)
			if !strings.Contains(old, "b\nc\n") {
				t.Errorf("got %q", old)
			}
			w, err := OpenWriter(files, testMaxFile)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			if _, err := io.WriteString(w, "d\n"); err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(old, "\n") {
				old += "\n"
			}
			if got := readAll(t, files); got != old+"d\n" {
				t.Errorf("got %q, want %q", got, old+"d\n")
			}
		})
	}
}

// A writer that is killed anywhere leaves lines that follow one another.
func TestKilledWriter(t *testing.T) {
	for range 5 {
		dir := t.TempDir()
		files := testFiles(dir)
		watch := NewWatch(dir)
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), writerVariable+"="+dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for {
			if _, err := os.Stat(files.name(2)); err == nil {
				break
			}
			watch.Wait(t.Context())
		}
		watch.Close()
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		lines := slices.Collect(strings.Lines(readAll(t, files)))
		if len(lines) < 100 {
			t.Errorf("%d lines are left", len(lines))
		}
		var first int
		if _, err := fmt.Sscanf(lines[0], "line %d", &first); err != nil {
			t.Fatal(err)
		}
		for i, line := range lines {
			want := fmt.Sprintf("line %d\n", first+i)
			if line != want && (i < len(lines)-1 || !strings.HasPrefix(want, line)) {
				t.Fatalf("got %q, want %q", line, want)
			}
		}
	}
}

// A follower gets every line once, in order, over any number of rotations.
func TestFollowOverRotations(t *testing.T) {
	dir := t.TempDir()
	files := testFiles(dir)
	const lines, ahead = 3000, 50 // so many make less than a file
	written := make(chan struct{}, ahead)
	go func() {
		w, err := OpenWriter(files, testMaxFile)
		if err != nil {
			t.Error(err)
			return
		}
		defer w.Close()
		for i := range lines {
			written <- struct{}{}
			if _, err := fmt.Fprintf(w, "line %d\n", i); err != nil {
				t.Error(err)
			}
		}
	}()
	watch := NewWatch(dir)
	defer watch.Close()
	r := NewReader(files, Options{MaxLine: testMaxLine, Parts: true})
	defer r.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for next := 0; next < lines; {
		if ctx.Err() != nil {
			t.Fatalf("line %d does not come", next)
		}
		line, err := r.Next()
		if err == nil {
			if want := fmt.Sprintf("line %d\n", next); string(line) != want {
				t.Fatalf("got %q, want %q", line, want)
			}
			next++
			<-written
			continue
		}
		if more, err := r.Advance(); err != nil {
			t.Fatal(err)
		} else if !more {
			watch.Wait(ctx)
		}
	}
}

// A failed write costs its lines, and no others.
func TestFullDisk(t *testing.T) {
	files := testFiles(t.TempDir())
	w, err := OpenWriter(files, testMaxFile)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, "one\nha"); err != nil { // as a full disk cuts it
		t.Fatal(err)
	}
	file := w.file
	if w.file, err = os.Open(files.Path); err != nil { // which can't be written
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, "two\n"); err == nil {
		t.Error("it was written")
	}
	_ = w.Close()
	w.file = file
	if _, err := io.WriteString(w, "three\n"); err != nil {
		t.Error(err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if got := readAll(t, files); got != "one\nha\nthree\n" {
		t.Errorf("got %q", got)
	}
}

func TestLongLines(t *testing.T) {
	files := testFiles(t.TempDir())
	long := strings.Repeat("x", 3*testMaxLine)
	put(t, files.Path, "a\n"+long+"\nb\n"+"end")
	if got := readAll(t, files); got != "a\n"+long+"\nb\nend" {
		t.Errorf("in parts: got %q", got)
	}
	r := NewReader(files, Options{MaxLine: testMaxLine})
	defer r.Close()
	if got := all(t, r); got != "a\nb\nend" {
		t.Errorf("without parts: got %q", got)
	}
}

func TestSinceLeavesOutOldFiles(t *testing.T) {
	files := testFiles(t.TempDir())
	now := time.Now()
	for age, text := range []string{"new\n", "old\n", "older\n"} {
		put(t, files.name(age), text)
		at := now.Add(-time.Duration(age) * time.Hour)
		if err := os.Chtimes(files.name(age), at, at); err != nil {
			t.Fatal(err)
		}
	}
	for hours, want := range []string{"new\n", "old\nnew\n", "older\nold\nnew\n", "older\nold\nnew\n"} {
		r := NewReader(files, Options{MaxLine: testMaxLine, Since: now.Add(-time.Duration(hours) * time.Hour)})
		if got := all(t, r); got != want {
			t.Errorf("since %d hours ago: got %q, want %q", hours, got, want)
		}
		r.Close()
	}
	r := NewReader(files, Options{MaxLine: testMaxLine, Since: now.Add(time.Hour)})
	defer r.Close()
	if got := all(t, r); got != "new\n" { // lines may yet be added to it
		t.Errorf("got %q", got)
	}
}

func TestSeekTail(t *testing.T) {
	long := strings.Repeat("x", 40<<10)
	for _, c := range []struct {
		files []string // oldest first
		n     int
		want  string
	}{
		{[]string{"a\nb\nc\n"}, 1, "c\n"},
		{[]string{"a\nb\nc\n"}, 2, "b\nc\n"},
		{[]string{"a\nb\nc\n"}, 3, "a\nb\nc\n"},
		{[]string{"a\nb\nc\n"}, 9, "a\nb\nc\n"},
		{[]string{"a\nb"}, 1, "b"},
		{[]string{"a\nb\n", "c\n"}, 0, ""},
		{[]string{"\n\n\n"}, 2, "\n\n"},
		{[]string{""}, 1, ""},
		{nil, 1, ""},
		{[]string{"a\n" + long + "\nb\n"}, 2, long + "\nb\n"},
		{[]string{long + "\n" + long + "\n"}, 1, long + "\n"},
		{[]string{"a\nb\n", "c\nd\n", "e\n"}, 1, "e\n"},
		{[]string{"a\nb\n", "c\nd\n", "e\n"}, 2, "d\ne\n"},
		{[]string{"a\nb\n", "c\nd\n", "e\n"}, 3, "c\nd\ne\n"},
		{[]string{"a\nb\n", "c\nd\n", "e\n"}, 4, "b\nc\nd\ne\n"},
		{[]string{"a\nb\n", "c\nd\n", ""}, 2, "c\nd\n"},
		{[]string{"a\nb\n", "c\nd\n", "e\n"}, 6, "a\nb\nc\nd\ne\n"},
		{[]string{"a\n", "#\n#\n", "b\n#\n"}, 2, "a\n#\n#\nb\n#\n"},
	} {
		files := testFiles(t.TempDir())
		for i, text := range c.files {
			put(t, files.name(len(c.files)-1-i), text)
		}
		r := NewReader(files, Options{MaxLine: testMaxLine, Parts: true})
		if err := r.SeekTail(c.n, func(head []byte) bool { return head[0] != '#' }); err != nil {
			t.Error(err)
		}
		if got := all(t, r); got != c.want {
			t.Errorf("last %d lines of %.40q: got %.40q, want %.40q", c.n, c.files, got, c.want)
		}
		r.Close()
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("a\nb"), []byte("c\n"))
	f.Add([]byte(strings.Repeat("x", 2*testMaxLine)), []byte("\n\x00"))
	f.Fuzz(func(t *testing.T, older, newer []byte) {
		files := testFiles(t.TempDir())
		put(t, files.name(1), string(older))
		put(t, files.Path, string(newer))
		if got := readAll(t, files); got != string(older)+string(newer) {
			t.Errorf("got %q, want %q and %q", got, older, newer)
		}
		r := NewReader(files, Options{MaxLine: testMaxLine})
		defer r.Close()
		for line := range strings.Lines(all(t, r)) {
			if len(line) > testMaxLine {
				t.Errorf("a line of %d bytes", len(line))
			}
		}
	})
}
