package flatten

import (
	"archive/tar"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Layers are extracted over each other, bottom layer first. These are the rules
// of the OCI image specification, "Image Layer Filesystem Changeset", and where
// it leaves something open, what container engines do.
func TestLayersBecomeOneFileSystem(t *testing.T) {
	type layers [][]member
	for _, test := range []struct {
		name   string
		layers layers
		want   []string
	}{
		{
			"a file of an upper layer replaces one of a lower layer",
			layers{{file("etc/motd", "below")}, {file("etc/motd", "above")}},
			[]string{"etc/", `etc/motd "above"`},
		},
		{
			"missing parents belong to root",
			layers{{file("a/b/c", "x").with(func(h *tar.Header) { h.Uid = 1000 })}},
			[]string{"a/", "a/b/", `a/b/c "x" (owner 1000:0)`},
		},
		{
			"directories of several layers are merged, and the last says what they look like",
			layers{
				{dir("d"), file("d/a", "1")},
				{dir("d").with(func(h *tar.Header) { h.Mode = 0o700 }), file("d/b", "2")},
			},
			[]string{"d/ (mode 0700)", `d/a "1"`, `d/b "2"`},
		},
		{
			"a file replaces a directory with all that is in it",
			layers{{file("x/a", "1"), file("x/b", "2")}, {file("x", "file")}},
			[]string{`x "file"`},
		},
		{
			"a directory replaces a file",
			layers{{file("x", "file")}, {dir("x"), file("x/a", "1")}},
			[]string{"x/", `x/a "1"`},
		},
		{
			"a directory replaces a symbolic link to a directory",
			layers{{dir("real"), file("real/a", "1"), sym("x", "real")}, {dir("x"), file("x/b", "2")}},
			[]string{"real/", `real/a "1"`, "x/", `x/b "2"`},
		},
		{
			"the last of several entries of one name counts",
			layers{{file("a", "first"), file("b", "1"), file("a", "last")}},
			[]string{`a "last"`, `b "1"`},
		},
		{
			"a whiteout removes a file",
			layers{{file("a", "1"), file("b", "2")}, {file(".wh.a", "")}},
			[]string{`b "2"`},
		},
		{
			"a whiteout removes a directory",
			layers{{file("d/a", "1"), file("d/e/b", "2"), file("k", "3")}, {file(".wh.d", "")}},
			[]string{`k "3"`},
		},
		{
			"a whiteout concerns lower layers only, wherever it stands in its own",
			layers{
				{file("a", "old"), file("b", "old")},
				{file("a", "new"), file(".wh.a", ""), file(".wh.b", ""), file("b", "new")},
			},
			[]string{`a "new"`, `b "new"`},
		},
		{
			"a whiteout of a directory leaves what its own layer puts there",
			layers{
				{file("d/old", "1"), file("d/sub/old", "1")},
				{file("d/sub/new", "2"), file(".wh.d", "")},
			},
			[]string{"d/", "d/sub/", `d/sub/new "2"`},
		},
		{
			"a whiteout of what is not there does nothing",
			layers{{file("a", "1")}, {file(".wh.b", ""), file("no/such/.wh.dir", "")}},
			[]string{`a "1"`},
		},
		{
			"a whiteout may have content, which means nothing",
			layers{{file("a", "1"), file("b", "2")}, {file(".wh.a", "content"), file("c", "3")}},
			[]string{`b "2"`, `c "3"`},
		},
		{
			"an opaque directory hides what lower layers have put into it",
			layers{
				{file("d/a", "1"), file("d/sub/b", "2"), file("k", "3")},
				{dir("d"), file("d/c", "4"), file("d/.wh..wh..opq", "")},
			},
			[]string{"d/", `d/c "4"`, `k "3"`},
		},
		{
			"an opaque mark concerns one layer only",
			layers{
				{file("d/a", "1")},
				{file("d/.wh..wh..opq", ""), file("d/b", "2")},
				{file("d/c", "3")},
			},
			[]string{"d/", `d/b "2"`, `d/c "3"`},
		},
		{
			"an opaque root hides all lower layers",
			layers{{file("a", "1"), file("d/b", "2")}, {file(".wh..wh..opq", ""), file("c", "3")}},
			[]string{`c "3"`},
		},
		{
			"bookkeeping of aufs is left out",
			layers{{file(".wh..wh.aufs", ""), dir(".wh..wh.plnk"), file("a", "1")}},
			[]string{`a "1"`},
		},
		{
			"hard links are one file",
			layers{{file("a", "1"), hard("b", "a"), hard("c", "/b")}},
			[]string{`a "1"`, "b = a", "c = a"},
		},
		{
			"a hard link may lead to a file of a lower layer",
			layers{{file("a", "1")}, {hard("d/b", "./a")}},
			[]string{`a "1"`, "d/", "d/b = a"},
		},
		{
			"a hard link outlives the name it was made from",
			layers{{file("a", "1")}, {hard("b", "a")}, {file(".wh.a", "")}},
			[]string{`b "1"`},
		},
		{
			"replacing one name of a file leaves the others",
			layers{{file("a", "old"), hard("b", "a")}, {file("a", "new")}},
			[]string{`a "new"`, `b "old"`},
		},
		{
			"a hard link made by a layer stays when the layer whites out the lower one of its name",
			layers{{file("a", "1"), file("b", "2")}, {hard("b", "a"), file(".wh.b", "")}},
			[]string{`a "1"`, "b = a"},
		},
		{
			"a hard link may lead to a symbolic link",
			layers{{sym("a", "target"), hard("b", "a")}},
			[]string{"a -> target", "b = a"},
		},
		{
			"a hard link's target is looked up through symbolic links",
			layers{{file("usr/lib/a", "1"), sym("lib", "usr/lib"), hard("b", "lib/a")}},
			[]string{`b "1"`, "lib -> usr/lib", "usr/", "usr/lib/", "usr/lib/a = b"},
		},
		{
			"a parent that is a symbolic link of a lower layer is followed",
			layers{{dir("usr"), dir("usr/bin"), sym("bin", "usr/bin")}, {file("bin/sh", "sh")}},
			[]string{"bin -> usr/bin", "usr/", "usr/bin/", `usr/bin/sh "sh"`},
		},
		{
			"so it is for whiteouts",
			layers{{file("usr/bin/a", "1"), file("usr/bin/b", "2"), sym("bin", "usr/bin")}, {file("bin/.wh.a", "")}},
			[]string{"bin -> usr/bin", "usr/", "usr/bin/", `usr/bin/b "2"`},
		},
		{
			"symbolic links are followed inside the image",
			layers{{dir("d"), sym("abs", "/d"), sym("up", "../../../d"), sym("chain", "up")}, {
				file("abs/a", "1"), file("up/b", "2"), file("chain/c", "3"),
			}},
			[]string{"abs -> /d", "chain -> up", "d/", `d/a "1"`, `d/b "2"`, `d/c "3"`, "up -> ../../../d"},
		},
		{
			"a symbolic link's .. starts where the link leads",
			layers{{dir("a/b/c"), sym("x", "a/b/c")}, {sym("y", "x/../.."), file("y/f", "1")}},
			[]string{"a/", "a/b/", "a/b/c/", `a/f "1"`, "x -> a/b/c", "y -> x/../.."},
		},
		{
			"a dangling parent leads to where it points, inside the image",
			layers{{sym("data", "/var/data")}, {file("data/f", "1")}},
			[]string{"data -> /var/data", "var/", "var/data/", `var/data/f "1"`},
		},
		{
			"absolute names are names in the image",
			layers{{file("/etc/passwd", "root"), file("//x", "1"), file("./y", "2"), file("a/../z", "3")}},
			[]string{"etc/", `etc/passwd "root"`, `x "1"`, `y "2"`, `z "3"`},
		},
		{
			"symbolic links may point anywhere: nobody follows them here",
			layers{{sym("a", "/etc/passwd"), sym("b", "../../../../etc/shadow"), sym("c", "c")}},
			[]string{"a -> /etc/passwd", "b -> ../../../../etc/shadow", "c -> c"},
		},
		{
			"devices and pipes are kept",
			layers{{
				{Header: tar.Header{Typeflag: tar.TypeChar, Name: "dev/null", Mode: 0o666, Devmajor: 1, Devminor: 3}},
				{Header: tar.Header{Typeflag: tar.TypeBlock, Name: "dev/disk", Mode: 0o660, Gid: 6, Devmajor: 259, Devminor: 65537}},
				{Header: tar.Header{Typeflag: tar.TypeFifo, Name: "run/pipe", Mode: 0o600}},
			}},
			[]string{"dev/", "dev/disk b 259:65537 (mode 0660) (owner 0:6)", "dev/null c 1:3 (mode 0666)", "run/", "run/pipe p (mode 0600)"},
		},
		{
			"special mode bits are kept",
			layers{{
				file("su", "x").with(func(h *tar.Header) { h.Mode = 0o4755 }),
				file("wall", "x").with(func(h *tar.Header) { h.Mode = 0o2755 }),
				dir("tmp").with(func(h *tar.Header) { h.Mode = 0o1777 }),
			}},
			[]string{`su "x" (mode 4755)`, "tmp/ (mode 1777)", `wall "x" (mode 2755)`},
		},
		{
			"owners may be larger than 65535",
			layers{{file("a", "x").with(func(h *tar.Header) { h.Uid, h.Gid = 65536, 2000000000 })}},
			[]string{`a "x" (owner 65536:2000000000)`},
		},
		{
			"an image may be empty",
			layers{{}},
			nil,
		},
		{
			"an image may have no layers",
			nil,
			nil,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var layers []Layer
			for i, members := range test.layers {
				layers = append(layers, plain(fmt.Sprint(i), layerOf(t, members...)))
			}
			disk := mustBuild(t, layers...)
			if diff := cmp.Diff(test.want, contents(t, disk)); diff != "" {
				t.Errorf("not as wanted (-want +got):\n%s", diff)
			}
		})
	}
}
