package assets

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
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

func TestEmptyDiskIsExt4AndSparse(t *testing.T) {
	const superblock, magic = 1024, 0x38 // ext4: s_magic
	for _, size := range []int64{MinDiskSize, usualDiskSize - 1, usualDiskSize, usualDiskSize + 1} {
		disk := blockMap{}
		if err := WriteEmptyDisk(disk, size); err != nil {
			t.Fatal(err)
		}
		if got := disk[0][superblock+magic:][:2]; !bytes.Equal(got, []byte{0x53, 0xef}) {
			t.Errorf("%d bytes: the magic number is %x", size, got)
		}
		if len(disk) > 128 {
			t.Errorf("%d bytes: %d blocks are not zero", size, len(disk))
		}
		for at := range disk {
			if at%diskBlockSize != 0 || at+diskBlockSize > size {
				t.Errorf("%d bytes: a block was written at %d", size, at)
			}
		}
	}
}

// blockMap is a disk that records what is written to it, by offset.
type blockMap map[int64][]byte

func (m blockMap) WriteAt(block []byte, at int64) (int, error) {
	m[at] = bytes.Clone(block)
	return len(block), nil
}
