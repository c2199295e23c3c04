package assets

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestBaseImageHasWhatIsPromised(t *testing.T) {
	needGuest(t)
	r, err := BaseImage()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	headers := map[string]*tar.Header{}
	contents := map[string]string{}
	for archive := tar.NewReader(r); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(strings.TrimPrefix(h.Name, "."), "/")
		if headers[name] != nil {
			t.Errorf("%s is there twice", name)
		}
		headers[name] = h
		if h.Typeflag == tar.TypeReg && strings.HasPrefix(name, "/etc/") {
			content, err := io.ReadAll(archive)
			if err != nil {
				t.Fatal(err)
			}
			contents[name] = string(content)
		}
	}
	for name, mode := range map[string]int64{
		"/tmp": 0o1777, "/var/tmp": 0o1777, "/root": 0o700, "/etc/shadow": 0o600, "/etc/passwd": 0o644,
		"/proc": 0o755, "/sys": 0o755, "/dev": 0o755, "/run": 0o755, "/home/user": 0o755,
		"/usr/bin/sh": 0o755, "/usr/bin/env": 0o755, "/usr/sbin/ip": 0o755, "/etc/ssl/certs/ca-certificates.crt": 0o644,
	} {
		switch h := headers[name]; {
		case h == nil:
			t.Errorf("%s is missing", name)
		case h.Mode&0o7777 != mode:
			t.Errorf("%s has mode %o, not %o", name, h.Mode, mode)
		}
	}
	for name, target := range map[string]string{"/bin": "usr/bin", "/sbin": "usr/sbin", "/lib": "usr/lib"} {
		if h := headers[name]; h == nil || h.Linkname != target {
			t.Errorf("%s does not lead to %s", name, target)
		}
	}
	for name, h := range headers {
		want := 0
		if name == "/home/user" {
			want = 1000
		}
		if h.Uid != want || h.Gid != want || h.Uname != "" || h.Gname != "" {
			t.Errorf("%s belongs to %d:%d %q:%q", name, h.Uid, h.Gid, h.Uname, h.Gname)
		}
	}
	if !strings.Contains(contents["/etc/passwd"], "\nuser:x:1000:1000:user:/home/user:/bin/sh\n") {
		t.Error("/etc/passwd has no user")
	}
	if strings.Count(contents["/etc/ssl/certs/ca-certificates.crt"], "BEGIN CERTIFICATE") < 100 {
		t.Error("certificates are missing")
	}
}

func TestBaseImageWasBuiltFromTheFilesOfTheTree(t *testing.T) {
	needGuest(t)
	r, err := BaseImage()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	found := 0
	for archive := tar.NewReader(r); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile("base/" + strings.TrimPrefix(h.Name, "./"))
		if err != nil || h.Typeflag != tar.TypeReg {
			continue
		}
		found++
		if got, err := io.ReadAll(archive); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s differs from that of the image: run `make base` (%v)", h.Name, err)
		}
	}
	if files, err := os.ReadDir("base/etc"); err != nil || found != len(files) {
		t.Errorf("%d files of base/etc are in the image: run `make base` (%v)", found, err)
	}
}

func TestEmptyDiskIsExt4AndMostlyZero(t *testing.T) {
	r, err := EmptyDisk()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	disk, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	const superblock, magic = 1024, 0x38 // ext4: s_magic
	if got := disk[superblock+magic:][:2]; !bytes.Equal(got, []byte{0x53, 0xef}) {
		t.Errorf("the magic number is %x", got)
	}
	if len(disk) > EmptyDiskSize || len(disk)%4096 != 0 {
		t.Errorf("it has %d bytes", len(disk))
	}
	used := 0
	for block := range slices.Chunk(disk, 4096) {
		if !isZero(block) {
			used++
		}
	}
	if used > 64 {
		t.Errorf("%d of %d blocks are not zero", used, len(disk)/4096)
	}
}

func isZero(block []byte) bool { return len(bytes.Trim(block, "\x00")) == 0 }
