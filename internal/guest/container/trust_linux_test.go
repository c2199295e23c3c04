package container

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	imageCA = "-----BEGIN CERTIFICATE-----\nimage\n-----END CERTIFICATE-----\n"
	addedCA = "-----BEGIN CERTIFICATE-----\nadded\n-----END CERTIFICATE-----\n"
	otherCA = "-----BEGIN CERTIFICATE-----\nother\n-----END CERTIFICATE-----\n"
	block   = blockBegin + addedCA + blockEnd
)

// folders makes folders below a root.
func folders(t *testing.T, root string, dirs ...string) {
	t.Helper()
	for _, dir := range dirs {
		mustDo(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
}

func content(t *testing.T, elements ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(elements...))
	mustDo(t, err)
	return string(b)
}

func TestTrust(t *testing.T) {
	root := newRoot(t)
	folders(t, root, "etc/ssl/certs", "etc/pki/tls/certs", "usr/local/share/ca-certificates")
	bundle := filepath.Join(root, bundles[0])
	mustDo(t, os.WriteFile(bundle, []byte(imageCA), 0o640))
	mustDo(t, os.Chmod(bundle, 0o640))
	mustDo(t, os.Chown(bundle, 12, 34))
	mustDo(t, os.Symlink("certs/ca-certificates.crt", root+"/etc/ssl/cert.pem"))
	mustDo(t, os.Symlink("/etc/ssl/cert.pem", root+"/etc/pki/tls/certs/ca-bundle.crt"))

	start := func(added string) *Container {
		t.Helper()
		c := newContainer(t, Config{Root: root, CACertificates: []byte(added)})
		t.Cleanup(c.Kill)
		return c
	}
	c := start(addedCA)
	for _, path := range []string{bundles[0], "/etc/ssl/cert.pem", "/etc/pki/tls/certs/ca-bundle.crt", trustBundle} {
		if got := sh(t, c, "cat "+path); got+"\n" != imageCA+block {
			t.Errorf("%s is\n%s", path, got)
		}
	}
	for _, path := range []string{trustAdded, "/usr/local/share/ca-certificates/boxlite.crt"} {
		if got := sh(t, c, "cat "+path); got+"\n" != block {
			t.Errorf("%s is\n%s", path, got)
		}
	}
	if got := sh(t, c, "stat -c %a:%u:%g "+bundles[0]+"; ls -A /etc/ssl/certs; readlink /etc/ssl/cert.pem"); got != "640:12:34\nca-certificates.crt\ncerts/ca-certificates.crt" {
		t.Errorf("the bundle became %s", got)
	}
	if r := runProcess(t, c, Process{Args: []string{"sh", "-c", "echo x > " + trustBundle}}); r.status.Code == 0 {
		t.Error("the mounted bundle can be changed")
	}
	env := "\n" + sh(t, c, "env") + "\n"
	for _, e := range trustEnv {
		if !strings.Contains(env, "\n"+e+"\n") {
			t.Errorf("no %s in the environment", e)
		}
	}
	c.Kill()

	c = start(otherCA)
	if got := sh(t, c, "cat "+bundles[0]); got+"\n" != imageCA+blockBegin+otherCA+blockEnd {
		t.Errorf("after another start the bundle is\n%s", got)
	}
	c.Kill()

	c = start("")
	if got := content(t, bundle); got != imageCA {
		t.Errorf("without certificates the bundle is\n%s", got)
	}
	if got := sh(t, c, "env | grep -c boxlite; ls /run /usr/local/share/ca-certificates; true"); got != "0\n/run:\n\n/usr/local/share/ca-certificates:" {
		t.Errorf("without certificates there is %s", got)
	}
}

func TestTrustWithoutBundle(t *testing.T) {
	c := newContainer(t, Config{CACertificates: []byte(addedCA), Env: []string{"PIP_CERT=/mine", "NODE_EXTRA_CA_CERTS="}})
	if got := sh(t, c, "cat $SSL_CERT_FILE"); got+"\n" != block {
		t.Errorf("the bundle is\n%s", got)
	}
	if got := sh(t, c, "echo $PIP_CERT-$NODE_EXTRA_CA_CERTS-; ls /usr/local /etc/ssl 2>&1 | wc -l"); got != "/mine--\n2" {
		t.Errorf("the environment has %s", got)
	}
}

func TestTrustInHostileImage(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	mustDo(t, os.WriteFile(outside, []byte(imageCA), 0o644))
	for name, prepare := range map[string]func(root, path string) error{
		"a FIFO":               func(_, path string) error { return unix.Mkfifo(path, 0o644) },
		"a device":             func(_, path string) error { return unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))) },
		"a folder":             func(_, path string) error { return os.Mkdir(path, 0o755) },
		"a link to itself":     func(_, path string) error { return os.Symlink(filepath.Base(path), path) },
		"a link that dangles":  func(_, path string) error { return os.Symlink("/none/here", path) },
		"a link to a device":   func(_, path string) error { return os.Symlink("/dev/zero", path) },
		"a link to the kernel": func(_, path string) error { return os.Symlink("/proc/sys/kernel/hostname", path) },
		"a link outside":       func(_, path string) error { return os.Symlink("../../../../../../../../.."+outside, path) },
		"a magic link":         func(_, path string) error { return os.Symlink("/proc/1/root/etc/passwd", path) },
		"a link to a folder":   func(_, path string) error { return os.Symlink("../../", path) },
		"a large file": func(_, path string) error {
			return errorsOf(os.WriteFile(path, nil, 0o644), os.Truncate(path, 100<<20))
		},
		"a folder in the way": func(_, path string) error {
			return errorsOf(os.WriteFile(path, []byte(imageCA), 0o644), os.MkdirAll(filepath.Join(filepath.Dir(path), temporary, "x"), 0o755))
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := newRoot(t)
			folders(t, root, "etc/ssl/certs")
			path := filepath.Join(root, bundles[0])
			mustDo(t, prepare(root, path))
			before, err := os.Lstat(path)
			mustDo(t, err)
			c := newContainer(t, Config{Root: root, CACertificates: []byte(addedCA)})
			if got := sh(t, c, "cat $SSL_CERT_FILE"); !strings.HasSuffix(got+"\n", block) {
				t.Errorf("the mounted bundle is\n%.1000s", got)
			}
			after, err := os.Lstat(path)
			mustDo(t, err)
			if !os.SameFile(before, after) || before.Size() != after.Size() {
				t.Errorf("%v became %v", before, after)
			}
		})
	}
	if got := content(t, outside); got != imageCA {
		t.Errorf("the file outside became\n%s", got)
	}
}

func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestBlocks(t *testing.T) {
	for text, want := range map[string]string{
		"":                                 "",
		imageCA:                            imageCA,
		imageCA + block:                    imageCA,
		block + imageCA + block:            imageCA,
		blockBegin + imageCA + block:       blockBegin + imageCA,
		imageCA + blockEnd + imageCA:       imageCA + imageCA,
		imageCA + blockBegin + "and so on": imageCA + blockBegin + "and so on",
	} {
		if got := string(withoutBlocks([]byte(text))); got != want {
			t.Errorf("without ours, %q is %q, want %q", text, got, want)
		}
	}
}

func FuzzBlocks(f *testing.F) {
	f.Add([]byte(imageCA + block))
	f.Add([]byte(blockBegin + blockEnd + blockEnd))
	f.Fuzz(func(t *testing.T, text []byte) {
		rest := withoutBlocks(text)
		if len(rest) > len(text) {
			t.Fatalf("%q grew to %q", text, rest)
		}
		again := withoutBlocks(appendBlock(rest, []byte(addedCA)))
		if bytes.Contains(again, []byte("added")) && !bytes.Contains(rest, []byte("added")) {
			t.Fatalf("what was added to %q is still in %q", rest, again)
		}
	})
}
