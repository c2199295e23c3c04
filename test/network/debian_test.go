//go:build linux

package network

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/boxlite-go/boxlite"
)

// debianImage is a Debian with the programs that fetch things.
func debianImage(t *testing.T) string {
	t.Helper()
	cmd := outside("../../scripts/debian-rootfs", "debian-net", "--include=python3-pip,curl,ca-certificates,wget")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, &stderr)
	}
	return "rootfs:" + strings.TrimSpace(string(out))
}

// TestDebian has the programs of a distribution fetch things from local servers, behind
// an allow list: passed on, looked into, and with a secret.
func TestDebian(t *testing.T) {
	rt := openRuntime(t)
	image := debianImage(t)
	world.publish("/simple/boxhello", []byte(`<!DOCTYPE html><a href="../../wheels/boxhello-1.0-py3-none-any.whl">boxhello-1.0-py3-none-any.whl</a>`))
	world.publish("/wheels/boxhello-1.0-py3-none-any.whl", wheel(t))
	deb := debianPackage(t)
	world.publish("/debian/boxhello_1.0_all.deb", deb)
	world.publish("/debian/Packages", fmt.Appendf(nil, `Package: boxhello
Version: 1.0
Architecture: all
Maintainer: Nobody <nobody@allowed.example>
Filename: ./boxhello_1.0_all.deb
Size: %d
SHA256: %x
Description: says hello
`, len(deb), sha256.Sum256(deb)))

	for name, spec := range map[string]boxlite.BoxSpec{
		"passed on": {Network: boxlite.Network{CACerts: []string{world.ca.pem}}},
		"inspected": {Network: boxlite.Network{CACerts: []string{world.ca.pem}, InspectTLS: true}},
		"with a secret": {
			Network: boxlite.Network{CACerts: []string{world.ca.pem}},
			Secrets: []boxlite.Secret{{Name: "INDEX", Value: secretValue, Hosts: []string{"pypi.wild.example"}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			spec.Image, spec.MemoryMiB = image, 1024
			spec.Network.Allow = []string{"*.wild.example"}
			box := newBox(t, rt, spec)
			world.reset(t)
			index := "https://pypi.wild.example/simple/"
			if len(spec.Secrets) > 0 {
				index = `"https://user:${BOXLITE_SECRET_INDEX}@pypi.wild.example/simple/"`
			}
			run(t, box, "pip install --break-system-packages --disable-pip-version-check --no-cache-dir --index-url "+index+" boxhello 2>&1 && python3 -c 'import boxhello; boxhello.hello()'")
			if len(spec.Secrets) > 0 {
				if user, password, _ := (&http.Request{Header: world.log.last(t).Header}).BasicAuth(); user != "user" || password != secretValue {
					t.Errorf("the index was asked by %q, %q", user, password)
				}
			}
			run(t, box, `rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*
echo 'deb [trusted=yes] http://deb.wild.example/debian ./' > /etc/apt/sources.list
apt-get -q update 2>&1 && apt-get -q install -y boxhello 2>&1 && test "$(cat /usr/share/boxhello)" = hello`)
			for command, want := range map[string]string{
				"curl -fsS https://a.wild.example/":                    "by HTTP/2.0",
				"curl -fsS --http1.1 https://a.wild.example/":          "by HTTP/1.1",
				"curl -fsS -L http://a.wild.example/":                  "hello from a.wild.example",
				"curl -fsS https://a.wild.example:8443/":               "hello from a.wild.example:8443",
				"wget -qO- https://b.wild.example/":                    "hello from b.wild.example",
				"curl -fsS -d @/etc/passwd http://a.wild.example/echo": "root:x:0:0",
			} {
				got := run(t, box, command)
				if !strings.Contains(got, want) {
					t.Errorf("%s: %q, want %q", command, got, want)
				}
			}
			for _, command := range []string{"curl -fsS https://other.example/", "curl -fsS https://" + evilIP + "/ -k", "curl -fsS -H 'Host: evil.example' http://a.wild.example/"} {
				fails(t, box, command)
			}
			world.mustHold(t, permitted)
			mustDeny(t, rt, box, "dns other.example", "flow "+evilIP, "http evil.example")
		})
	}
}

// wheel is a package of Python with a module that can say hello.
func wheel(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, f := range [][2]string{
		{"boxhello.py", "def hello():\n    print('hello')\n"},
		{"boxhello-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: boxhello\nVersion: 1.0\n"},
		{"boxhello-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
		{"boxhello-1.0.dist-info/RECORD", "boxhello.py,,\nboxhello-1.0.dist-info/METADATA,,\nboxhello-1.0.dist-info/WHEEL,,\nboxhello-1.0.dist-info/RECORD,,\n"},
	} {
		file, err := w.Create(f[0])
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(file, f[1])
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// debianPackage is a package with one file.
func debianPackage(t *testing.T) []byte {
	t.Helper()
	control := tarball(t, "./control", "Package: boxhello\nVersion: 1.0\nArchitecture: all\nMaintainer: Nobody <nobody@allowed.example>\nDescription: says hello\n")
	data := tarball(t, "./usr/share/boxhello", "hello\n")
	var out bytes.Buffer
	out.WriteString("!<arch>\n")
	for _, member := range []struct {
		name    string
		content []byte
	}{{"debian-binary", []byte("2.0\n")}, {"control.tar.gz", control}, {"data.tar.gz", data}} {
		fmt.Fprintf(&out, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", member.name, 0, 0, 0, "100644", len(member.content))
		out.Write(member.content)
		if len(member.content)%2 == 1 {
			out.WriteByte('\n')
		}
	}
	return out.Bytes()
}

func tarball(t *testing.T, name, content string) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	header := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), ModTime: time.Unix(0, 0)}
	if err := w.WriteHeader(header); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
