package e2e

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/boxlite-go/boxlite"
)

// TestLogsOverRotation: a main process that writes 35 MiB leaves 30 at most, and
// whoever follows gets every line all the same.
func TestLogsOverRotation(t *testing.T) {
	needMachine(t)
	t.Parallel()
	rt := openRuntime(t, boxlite.Options{})
	const width, lines = 8 << 10, 35 << 7
	box := newBox(t, rt, boxlite.BoxSpec{Stdin: true, Cmd: []string{"sh", "-c", fmt.Sprintf(
		`read go; head -c %d /dev/zero | tr '\0' x | fold -w %d; echo; echo last`, width*lines, width)}})
	if err := box.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := box.Attach()
	c.Stdin = strings.NewReader("go\n")
	followed := make(chan int)
	go func() {
		defer close(followed)
		count, size := 0, 0
		for line, err := range box.Logs(t.Context(), boxlite.LogOptions{Follow: true}) {
			if err != nil {
				t.Error(err)
				return
			}
			if strings.HasPrefix(line.Text, "x") {
				count, size = count+1, size+len(strings.TrimSuffix(line.Text, "\n"))
			}
		}
		if size != width*lines {
			t.Errorf("%d bytes came, want %d", size, width*lines)
		}
		followed <- count
	}()
	if err := c.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := <-followed; got != lines {
		t.Errorf("%d lines came, want %d", got, lines)
	}
	if _, err := box.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}

	info, err := box.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(info.HostDir, "logs/container.log*"))
	if err != nil || len(files) != 3 {
		t.Errorf("got %q, %v", files, err)
	}
	for _, path := range files {
		if info, err := os.Stat(path); err != nil || info.Size() > 10<<20 {
			t.Errorf("%s: %+v, %v", path, info, err)
		}
	}
	// More than one file has, and all that is kept.
	for _, tail := range []int{1, 2000, 0} {
		var got []boxlite.LogLine
		for line, err := range box.Logs(t.Context(), boxlite.LogOptions{Tail: tail}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, line)
		}
		if tail > 0 && len(got) != tail || tail == 0 && len(got) < 20<<7 {
			t.Errorf("the last %d: %d lines", tail, len(got))
		}
		if end := got[len(got)-1]; end.Text != "last\n" {
			t.Errorf("the last %d end with %q", tail, end.Text)
		}
		if !slices.IsSortedFunc(got, func(a, b boxlite.LogLine) int { return a.Time.Compare(b.Time) }) {
			t.Errorf("the last %d are not in order", tail)
		}
	}
}

func TestLogsOfATime(t *testing.T) {
	needMachine(t)
	t.Parallel()
	rt := openRuntime(t, boxlite.Options{})
	box := newBox(t, rt, boxlite.BoxSpec{Stdin: true, Cmd: []string{"cat"}})
	lines := func(o boxlite.LogOptions) (text string) {
		t.Helper()
		for line, err := range box.Logs(t.Context(), o) {
			if err != nil {
				t.Fatal(err)
			}
			text += line.Text
		}
		return text
	}
	c := box.Attach()
	in, stdin := io.Pipe()
	c.Stdin = in
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	var times []time.Time
	for _, text := range []string{"one\n", "two\n", "three\n"} {
		if _, err := stdin.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		for line, err := range box.Logs(t.Context(), boxlite.LogOptions{Follow: true}) {
			if err != nil {
				t.Fatal(err)
			}
			if line.Text == text {
				times = append(times, line.Time)
				break
			}
		}
	}
	for name, test := range map[string]struct {
		options boxlite.LogOptions
		want    string
	}{
		"since":             {boxlite.LogOptions{Since: times[1]}, "two\nthree\n"},
		"until":             {boxlite.LogOptions{Until: times[1]}, "one\ntwo\n"},
		"both":              {boxlite.LogOptions{Since: times[1], Until: times[1]}, "two\n"},
		"tail until":        {boxlite.LogOptions{Until: times[1], Tail: 1}, "two\n"},
		"tail since":        {boxlite.LogOptions{Since: times[1], Tail: 5}, "two\nthree\n"},
		"follow until then": {boxlite.LogOptions{Follow: true, Since: times[2], Until: times[2]}, "three\n"},
		"none":              {boxlite.LogOptions{Tail: -1}, ""},
	} {
		if got := lines(test.options); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
	// What comes next, until the box ends.
	rest := make(chan string)
	go func() {
		rest <- lines(boxlite.LogOptions{Follow: true, Tail: 1, Since: times[1]})
	}()
	if _, err := stdin.Write([]byte("four\n")); err != nil {
		t.Fatal(err)
	}
	if err := stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := <-rest; got != "three\nfour\n" && got != "four\n" { // as it was when it began
		t.Errorf("got %q", got)
	}
}
