package container

import (
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

const (
	testPasswd = `# comment
root:x:0:0:root:/root:/bin/sh

broken
ada:x:1000:1000:Ada:/home/ada:/bin/sh
twin:x:1000:1001::/home/twin:/bin/sh
42:x:7:7::/number:/bin/sh
relative:x:8:8::no/slash:/bin/sh
short:x:9:9
huge:x:4294967296:1::/:/bin/sh
`
	testGroup = `root:x:0:root
tty:x:5:
wheel:x:10:root,ada
again:x:10:ada
games:x:60:bob,ada
ada:x:1000:
`
)

func TestLookupUser(t *testing.T) {
	for _, test := range []struct {
		spec   string
		uid    uint32
		groups []uint32
		home   string
	}{
		{"", 0, []uint32{0, 10}, "/root"},
		{"root", 0, []uint32{0, 10}, "/root"},
		{"0", 0, []uint32{0, 10}, "/root"},
		{"ada", 1000, []uint32{1000, 10, 60}, "/home/ada"},
		{"1000", 1000, []uint32{1000, 10, 60}, "/home/ada"},
		{"ada:", 1000, []uint32{1000, 10, 60}, "/home/ada"},
		{"ada:tty", 1000, []uint32{5}, "/home/ada"},
		{"ada:5", 1000, []uint32{5}, "/home/ada"},
		{"1000:4321", 1000, []uint32{4321}, "/home/ada"},
		{":tty", 0, []uint32{5}, "/root"},
		{"4242", 4242, []uint32{0}, "/"},
		{"4242:4343", 4242, []uint32{4343}, "/"},
		{"twin", 1000, []uint32{1001}, "/home/twin"},
		{"42", 7, []uint32{7}, "/number"},
		{"relative", 8, []uint32{8}, "/"},
		{"short", 9, []uint32{9}, "/"},
	} {
		who, err := lookupUser(test.spec, strings.NewReader(testPasswd), strings.NewReader(testGroup))
		if err != nil {
			t.Errorf("%q: %v", test.spec, err)
			continue
		}
		if who.uid != test.uid || who.gid != test.groups[0] || !slices.Equal(who.groups, test.groups) || who.home != test.home {
			t.Errorf("%q: got %+v, want %+v", test.spec, who, test)
		}
	}
}

func TestLookupUserUnknown(t *testing.T) {
	for _, spec := range []string{
		"eve", "ada:eve", "4242:eve", "huge", "-1", "+5", "4294967295", "4294967296", "ada:4294967295", "ada:tty:5", "ro ot",
	} {
		_, err := lookupUser(spec, strings.NewReader(testPasswd), strings.NewReader(testGroup))
		if !errors.Is(err, protocol.KindInvalidArgument) || protocol.HintOf(err) == "" {
			t.Errorf("%q: got %v", spec, err)
		}
	}
}

func TestLookupUserBounds(t *testing.T) {
	endless := io.MultiReader(strings.NewReader("eve:x:1:1::/:"), zeros{})
	if _, err := lookupUser("ada", endless, strings.NewReader("")); !errors.Is(err, errUserFile) {
		t.Errorf("endless passwd: got %v", err)
	}
	many := strings.NewReader(strings.Repeat("g:x:7:ada\n", 1000) + manyGroups(maxGroups+1))
	if _, err := lookupUser("ada", strings.NewReader(testPasswd), many); err == nil {
		t.Error("a user in more groups than the kernel takes was accepted")
	}
}

// zeros is an endless file.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// manyGroups returns a group file in which a user is in n groups.
func manyGroups(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("g:x:")
		b.WriteString(strconv.Itoa(i + 2000))
		b.WriteString(":ada\n")
	}
	return b.String()
}

func FuzzLookupUser(f *testing.F) {
	f.Add("ada:tty", testPasswd, testGroup)
	f.Add("", "", "")
	f.Add(":", ":::", ":::")
	f.Add("1000", "a:b:1000:c", "")
	f.Fuzz(func(t *testing.T, spec, passwd, group string) {
		who, err := lookupUser(spec, strings.NewReader(passwd), strings.NewReader(group))
		if err != nil {
			return
		}
		if len(who.groups) == 0 || who.groups[0] != who.gid || len(who.groups) > maxGroups {
			t.Errorf("groups %v of group %d", who.groups, who.gid)
		}
		if !strings.HasPrefix(who.home, "/") {
			t.Errorf("home %q", who.home)
		}
		if who.uid == ^uint32(0) || who.gid == ^uint32(0) {
			t.Errorf("the ID that is none: %+v", who)
		}
		if uid, ok := parseID(spec); ok && !strings.Contains(passwd, spec) && who.uid != uid {
			t.Errorf("user %s became %d", spec, who.uid)
		}
	})
}
