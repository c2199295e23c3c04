package main

import "testing"

func TestParseCopyArg(t *testing.T) {
	for arg, want := range map[string]copyEnd{
		"web:/etc": {box: "web", path: "/etc"}, "web:etc": {box: "web", path: "etc"}, "web:": {box: "web"},
		"web:/a:b": {box: "web", path: "/a:b"}, "-": {path: "-"}, "file": {path: "file"}, "./a:b": {path: "./a:b"},
		"/a:b": {path: "/a:b"}, "../a:b": {path: "../a:b"}, "dir/a:b": {path: "dir/a:b"}, ":x": {path: ":x"}, "": {},
	} {
		want.arg = arg
		if got := parseCopyArg(arg); got != want {
			t.Errorf("%q: %+v, want %+v", arg, got, want)
		}
	}
}
