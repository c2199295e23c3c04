package archive

import (
	"archive/tar"
	"bytes"
	"strconv"
	"strings"
	"testing"
	"time"
)

// What archive/tar reads is what was written.
func TestHeaders(t *testing.T) {
	for _, e := range []entry{
		{kind: tar.TypeReg, name: "plain", mode: 0o644, seconds: 1234567890, real: -1},
		{kind: tar.TypeReg, name: "times", seconds: 1234567890, nanos: 5, real: -1},
		{kind: tar.TypeReg, name: "old", seconds: -1, nanos: 500000000, real: -1},
		{kind: tar.TypeReg, name: "older", seconds: -3, nanos: 250000000, real: -1},
		{kind: tar.TypeReg, name: "oldest", seconds: -7, real: -1},
		{kind: tar.TypeReg, name: "late", seconds: 1 << 34, real: -1},
		{kind: tar.TypeDir, name: strings.Repeat("long/", 60), mode: 0o1777, uid: 1 << 30, gid: 1<<32 - 2, real: -1},
		{kind: tar.TypeSymlink, name: "link", link: strings.Repeat("to", 99), real: -1},
		{kind: tar.TypeChar, name: "null", major: 1, minor: 3, real: -1},
		{kind: tar.TypeReg, name: "x", xattrs: []xattr{{"user.a", []byte("b=\n\x00")}}, real: -1},
		{kind: tar.TypeReg, name: "huge", size: 1 << 40, real: -1},
	} {
		data, record := appendHeader(nil, nil, &e)
		if len(record) > 0 && !bytes.HasPrefix(data, []byte("PaxHeaders/")) {
			t.Errorf("%s: the record is called %.20q", e.name, data)
		}
		h, err := tar.NewReader(bytes.NewReader(data)).Next()
		if err != nil {
			t.Errorf("%s: %v", e.name, err)
			continue
		}
		if h.Typeflag != e.kind || h.Name != e.name || h.Linkname != e.link || h.Mode != int64(e.mode) || h.Size != e.size ||
			h.Uid != int(e.uid) || h.Gid != int(e.gid) || h.Devmajor != int64(e.major) || h.Devminor != int64(e.minor) ||
			!h.ModTime.Equal(time.Unix(e.seconds, e.nanos)) {
			t.Errorf("%+v\nbecomes %+v", e, h)
		}
		for _, x := range e.xattrs {
			if got := h.PAXRecords["SCHILY.xattr."+x.name]; got != string(x.value) {
				t.Errorf("%s: %q", x.name, got)
			}
		}
	}
}

// The length of a record counts itself.
func TestRecordLengths(t *testing.T) {
	for n := range 1100 {
		record := appendRecord(nil, "key", strings.Repeat("v", n))
		length, rest, _ := strings.Cut(string(record), " ")
		if want := len(record); length != strconv.Itoa(want) || !strings.HasSuffix(rest, "\n") {
			t.Errorf("a record of %d bytes says %s", want, length)
		}
	}
}
