package boxlite

import (
	"errors"
	"path"
	"strings"
	"testing"
)

func TestCopyTarget(t *testing.T) {
	file := endpoint{path: "/s/f", name: "f", exists: true}
	dir := endpoint{path: "/s/d", name: "d", exists: true, dir: true}
	contents := endpoint{path: "/s/d", name: "d", exists: true, dir: true, contents: true}
	root := endpoint{path: "/", exists: true, dir: true, contents: true}
	into := endpoint{path: "/t", name: "t", exists: true, dir: true}
	over := endpoint{path: "/t/x", name: "x", exists: true}
	fresh := endpoint{path: "/t/new", name: "new"}
	slash := endpoint{path: "/t/new", name: "new", slash: true}
	for _, c := range []struct {
		from, to endpoint
		dir, as  string
		fails    bool
	}{
		{file, into, "/t", "f", false},
		{dir, into, "/t", "d", false},
		{contents, into, "/t", "", false},
		{root, into, "/t", "", false},
		{file, over, "/t", "x", false},
		{dir, over, "", "", true},
		{file, fresh, "/t", "new", false},
		{dir, fresh, "/t", "new", false},
		{contents, fresh, "/t", "new", false},
		{root, fresh, "/t", "new", false},
		{file, slash, "", "", true},
		{dir, slash, "/t", "new", false},
	} {
		dir, as, err := target(c.from, c.to)
		if dir != c.dir || as != c.as || (err != nil) != c.fails {
			t.Errorf("%+v to %+v: %q, %q, %v", c.from, c.to, dir, as, err)
		}
		if err != nil && (!errors.Is(err, ErrInvalidArgument) || HintOf(err) == "") {
			t.Errorf("got %v", err)
		}
	}
}

// FuzzCopyTarget: a file is copied into a folder that the paths name, under one
// name.
func FuzzCopyTarget(f *testing.F) {
	f.Add("a/.", "/x/", true, true, true)
	f.Add("..", "/", true, true, true)
	f.Add("/", "/new", true, false, false)
	f.Add("f", "..", false, false, false)
	f.Fuzz(func(t *testing.T, from, to string, fromDir, toExists, toDir bool) {
		var s, d endpoint
		s.slash, s.contents = ending(from)
		s.path = boxRaw(from)
		s.name = path.Base(path.Clean(s.path))
		s, err := s.asSource(fromDir, CopyOptions{})
		if err != nil {
			return
		}
		d.slash, _ = ending(to)
		d.path = boxRaw(to)
		d.name = path.Base(d.path)
		d.exists, d.dir = toExists, toDir
		dir, as, err := target(s, d)
		if err == nil && (strings.Contains(as, "/") || !strings.HasPrefix(dir, "/")) {
			t.Errorf("%q to %q: %q in %q", from, to, as, dir)
		}
	})
}
