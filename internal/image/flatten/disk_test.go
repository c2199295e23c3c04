package flatten

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// member is a member of a layer's tar.
type member struct {
	tar.Header
	content string
}

func file(name, content string) member {
	return member{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}, content}
}

func dir(name string) member {
	return member{tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755}, ""}
}

func hard(name, target string) member {
	return member{tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: target}, ""}
}

func sym(name, target string) member {
	return member{tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}, ""}
}

// with changes a member's header.
func (m member) with(change func(*tar.Header)) member {
	change(&m.Header)
	return m
}

// layerOf makes the tar of a layer.
func layerOf(t testing.TB, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		h := m.Header
		if h.Size == 0 {
			h.Size = int64(len(m.content))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, m.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// plain makes a Layer of bytes.
func plain(name string, b []byte) Layer {
	return Layer{Name: name, Open: func() (io.ReadCloser, error) { return seekCloser{bytes.NewReader(b)}, nil }}
}

type seekCloser struct{ *bytes.Reader }

func (seekCloser) Close() error { return nil }

// build flattens layers and returns the path of the disk.
func build(t testing.TB, limits Limits, layers ...Layer) (string, error) {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "disk.ext4"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	return out.Name(), Write(context.Background(), out, layers, limits, nil)
}

// mustBuild flattens layers into a disk that e2fsck finds sound.
func mustBuild(t testing.TB, layers ...Layer) string {
	t.Helper()
	disk, err := build(t, Limits{}, layers...)
	if err != nil {
		t.Fatal(err)
	}
	check(t, disk)
	return disk
}

// check runs e2fsck, whose one remark about a disk may be cosmetic.
func check(t testing.TB, disk string) {
	t.Helper()
	b, _ := exec.Command(tool(t, "e2fsck"), "-fn", disk).CombinedOutput()
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		switch {
		case line == "", strings.HasPrefix(line, "Pass "), strings.HasPrefix(line, "e2fsck "), strings.HasPrefix(line, disk):
		case strings.HasPrefix(line, "Padding at end of inode bitmap is not set"):
		default:
			t.Errorf("e2fsck: %s", line)
		}
	}
}

// tool finds a program of e2fsprogs.
func tool(t testing.TB, name string) string {
	t.Helper()
	for _, dir := range []string{"", "/usr/sbin", "/sbin", "/opt/homebrew/opt/e2fsprogs/sbin"} {
		if p, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return p
		}
	}
	t.Skipf("%s is not installed (package e2fsprogs)", name)
	return ""
}

// debugfs runs commands and returns what each printed.
func debugfs(t testing.TB, disk string, commands ...string) []string {
	t.Helper()
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte(strings.Join(commands, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(tool(t, "debugfs"), "-f", script, disk).Output()
	if err != nil {
		t.Fatal(err)
	}
	// debugfs repeats each command before its result.
	rest := string(out)
	var results []string
	for i, c := range commands {
		_, rest, _ = strings.Cut(rest, "debugfs: "+c+"\n")
		result := rest
		if i+1 < len(commands) {
			result, _, _ = strings.Cut(rest, "debugfs: "+commands[i+1]+"\n")
		}
		results = append(results, result)
	}
	return results
}

// contents lists a disk's files, one a line, such as
//
//	etc/ (mode 0700)
//	etc/motd "hello" (owner 1:2)
//	etc/issue = etc/motd      a hard link
//	bin -> usr/bin
//	dev/null c 1:3
//
// leaving out what is usual: mode 0755 for directories, 0644 for files, and the
// owner 0:0.
func contents(t testing.TB, disk string) []string {
	t.Helper()
	var lines []string
	seen := make(map[string]string) // by inode
	walk(t, disk, "", func(f listed) {
		if f.path == "lost+found" {
			return
		}
		lines = append(lines, f.describe(t, disk, seen))
	})
	return lines
}

// listed is a line of debugfs' `ls -p`.
type listed struct {
	path, inode string
	mode        uint64
	owner       string
}

func walk(t testing.TB, disk, dir string, visit func(listed)) {
	t.Helper()
	var found []listed
	for line := range strings.Lines(debugfs(t, disk, fmt.Sprintf("ls -p \"/%s\"", dir))[0]) {
		// /inode/mode/uid/gid/name/size/
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "/")
		if len(fields) < 7 || fields[5] == "." || fields[5] == ".." || fields[1] == "0" {
			continue
		}
		mode, err := strconv.ParseUint(fields[2], 8, 32)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, listed{path.Join(dir, fields[5]), fields[1], mode, fields[3] + ":" + fields[4]})
	}
	slices.SortFunc(found, func(a, b listed) int { return strings.Compare(a.path, b.path) })
	for _, f := range found {
		visit(f)
		if f.mode&0o170000 == 0o040000 {
			walk(t, disk, f.path, visit)
		}
	}
}

var (
	fastLink = regexp.MustCompile(`Fast link dest: "(.*)"`)
	device   = regexp.MustCompile(`Device major/minor number: (\d+):(\d+)`)
)

func (f listed) describe(t testing.TB, disk string, seen map[string]string) string {
	t.Helper()
	if first, ok := seen[f.inode]; ok {
		return f.path + " = " + first
	}
	seen[f.inode] = f.path
	line, usual := f.path, uint64(0o644)
	switch f.mode & 0o170000 {
	case 0o040000:
		line, usual = f.path+"/", 0o755
	case 0o120000:
		usual = 0o777
		target := debugfs(t, disk, "stat \"/"+f.path+"\"", "cat \"/"+f.path+"\"")
		if m := fastLink.FindStringSubmatch(target[0]); m != nil {
			line += " -> " + m[1]
		} else {
			line += " -> " + target[1]
		}
	case 0o020000, 0o060000:
		m := device.FindStringSubmatch(debugfs(t, disk, "stat \"/"+f.path+"\"")[0])
		major, _ := strconv.Atoi(m[1])
		minor, _ := strconv.Atoi(m[2])
		line += fmt.Sprintf(" %c %d:%d", map[uint64]rune{0o020000: 'c', 0o060000: 'b'}[f.mode&0o170000], major, minor)
	case 0o010000:
		line += " p"
	default:
		line += fmt.Sprintf(" %.60q", readFile(t, disk, f.path))
	}
	if mode := f.mode & 0o7777; mode != usual {
		line += fmt.Sprintf(" (mode %04o)", mode)
	}
	if f.owner != "0:0" {
		line += " (owner " + f.owner + ")"
	}
	return line
}

func readFile(t testing.TB, disk, name string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "content")
	debugfs(t, disk, fmt.Sprintf("dump \"/%s\" %s", name, out))
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// attribute returns the value of an extended attribute.
func attribute(t testing.TB, disk, file, name string) string {
	t.Helper()
	out := debugfs(t, disk, fmt.Sprintf("ea_get -x \"/%s\" %s", file, name))[0]
	_, value, ok := strings.Cut(out, "= ")
	if !ok {
		return ""
	}
	b, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(value), " ", ""))
	if err != nil {
		t.Fatalf("%q: %v", out, err)
	}
	return string(b)
}
