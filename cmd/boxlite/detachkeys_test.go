package main

import (
	"bytes"
	"io"
	"testing"
	"testing/iotest"
)

func TestParseDetachKeys(t *testing.T) {
	for text, want := range map[string]string{
		"ctrl-p,ctrl-q": "\x10\x11", "ctrl-@,a,CTRL-]": "\x00a\x1d", "": "", "x": "x",
	} {
		if got, err := parseDetachKeys(text); err != nil || string(got) != want {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	}
	for _, text := range []string{",", "ctrl-", "ctrl-pp", "ab", "ctrl-1", "ctrl-p,"} {
		if got, err := parseDetachKeys(text); err == nil {
			t.Errorf("%q: got %q", text, got)
		}
	}
}

func TestDetachReader(t *testing.T) {
	for _, test := range []struct {
		typed, want string
		detached    bool
	}{
		{"ls\n", "ls\n", false},
		{"ls\n\x10\x11rest", "ls\n", true},
		{"\x10\x11", "", true},
		{"a\x10b\x10", "a\x10b\x10", false},
		{"\x10\x10\x11x", "\x10", true},
		{"\x11\x10", "\x11\x10", false},
		{"", "", false},
	} {
		for name, in := range map[string]io.Reader{
			"at once": bytes.NewBufferString(test.typed), "by bytes": iotest.OneByteReader(bytes.NewBufferString(test.typed)),
			"with its end": iotest.DataErrReader(bytes.NewBufferString(test.typed)),
		} {
			detached := false
			r := &detachReader{in: in, keys: []byte("\x10\x11"), detach: func() { detached = true }}
			got, err := io.ReadAll(r)
			if err != nil || string(got) != test.want || detached != test.detached {
				t.Errorf("%q, %s: got %q, %v, detached %v", test.typed, name, got, err, detached)
			}
		}
	}
}

func FuzzDetachReader(f *testing.F) {
	f.Add([]byte("ls\x10\x10\x11"), 3)
	f.Fuzz(func(t *testing.T, typed []byte, size int) {
		detached := false
		r := &detachReader{in: bytes.NewReader(typed), keys: []byte("\x10\x10\x11"), detach: func() { detached = true }}
		var got []byte
		buf := make([]byte, 1+max(0, size)%64)
		for {
			n, err := r.Read(buf)
			got = append(got, buf[:n]...)
			if err != nil {
				break
			}
		}
		if !detached && !bytes.Equal(got, typed) {
			t.Errorf("%q became %q", typed, got)
		}
		if detached && !bytes.Contains(typed, r.keys) {
			t.Errorf("%q detached", typed)
		}
	})
}
