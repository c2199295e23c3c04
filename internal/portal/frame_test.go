package portal

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
)

// writes records each Write as a string, and fails after limit bytes of one.
type writes struct {
	io.ReadCloser
	got   []string
	limit int
}

var errFull = errors.New("full")

func (w *writes) Write(p []byte) (int, error) {
	if w.limit > 0 && len(p) > w.limit {
		return w.limit, errFull
	}
	w.got = append(w.got, string(p))
	return len(p), nil
}

func TestFramesAreWrittenAtOnce(t *testing.T) {
	header := func(kind byte, length byte) []byte {
		return []byte{0, kind, 0, 0, 0, 0, 0, 1, 0, 0, 0, length}
	}
	const data, windowUpdate = 0, 1
	out := &writes{}
	w := &frameWriter{ReadWriteCloser: out}
	for _, p := range [][]byte{
		header(data, 3), []byte("abc"), // a frame
		header(windowUpdate, 12),             // has no body, whatever its length says
		header(data, 0),                      // closes a stream
		header(data, 12), header(data, 0xff), // the body looks like a header
		header(data, 1), []byte("x"),
	} {
		if n, err := w.Write(p); n != len(p) || err != nil {
			t.Fatalf("Write: %d of %d, %v", n, len(p), err)
		}
	}
	want := []string{
		string(header(data, 3)) + "abc", string(header(windowUpdate, 12)), string(header(data, 0)),
		string(header(data, 12)) + string(header(data, 0xff)), string(header(data, 1)) + "x",
	}
	if !slices.Equal(out.got, want) {
		t.Errorf("got %q, want %q", out.got, want)
	}

	out.limit = frameHeaderSize + 2
	_, _ = w.Write(header(data, 5))
	if n, err := w.Write(bytes.Repeat([]byte("y"), 5)); n != 2 || !errors.Is(err, errFull) {
		t.Errorf("a short write: %d, %v", n, err)
	}
}
