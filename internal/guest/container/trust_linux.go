package container

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// The files of the container that hold what it trusts: all, and only what was
// added. They are mounted, so that they are right even where the image has no
// bundle, or one that can't be changed.
const (
	dirTrust    = "/run/boxlite"
	trustBundle = dirTrust + "/ca-bundle.crt"
	trustAdded  = dirTrust + "/ca.crt"
)

// trustEnv are the variables by which programs are told what to trust.
var trustEnv = []string{
	"SSL_CERT_FILE=" + trustBundle, // OpenSSL, Go
	"CURL_CA_BUNDLE=" + trustBundle,
	"REQUESTS_CA_BUNDLE=" + trustBundle,
	"PIP_CERT=" + trustBundle,
	"GIT_SSL_CAINFO=" + trustBundle,
	"CARGO_HTTP_CAINFO=" + trustBundle,
	"AWS_CA_BUNDLE=" + trustBundle,
	// These two are in addition to a list that the program has built in.
	"DENO_CERT=" + trustAdded,
	"NODE_EXTRA_CA_CERTS=" + trustAdded,
}

// bundles are where distributions keep all certificates that they trust: Debian,
// Alpine and Arch; Red Hat, twice; SUSE; Alpine and BSD.
var bundles = []string{
	"/etc/ssl/certs/ca-certificates.crt",
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
	"/etc/ssl/ca-bundle.pem",
	"/etc/ssl/cert.pem",
}

// anchor is a folder from which a distribution's tool makes its bundle anew.
type anchor struct{ dir, tool string }

var anchors = []anchor{
	{"/usr/local/share/ca-certificates", "/usr/sbin/update-ca-certificates"},
	{"/etc/pki/ca-trust/source/anchors", "/usr/bin/update-ca-trust"},
}

// anchorName is the name of our file in an anchor folder.
const anchorName = "boxlite.crt"

// trustFiles returns the files to mount for certificates to be trusted.
func trustFiles(added []byte) []ownFile {
	if len(added) == 0 {
		return nil
	}
	var all []byte
	for _, path := range bundles {
		b, err := openBundle(path)
		if err != nil {
			continue // updateTrust reports it
		}
		all = b.without()
		b.close()
		break
	}
	return []ownFile{
		{target: trustBundle, content: appendBlock(all, added), readOnly: true},
		{target: trustAdded, content: appendBlock(nil, added), readOnly: true},
	}
}

// updateTrust puts certificates into the image's bundles, instead of those of an
// earlier start. An image that can't take them still has the mounted files, so
// failures are only told on the console.
//
// Nothing runs in the container yet, so nothing changes while it is looked at.
func updateTrust(added []byte) {
	if len(added) == 0 {
		// The mount points are there if there ever were certificates.
		if _, err := os.Lstat(trustBundle); err != nil {
			return
		}
	}
	for _, path := range bundles {
		report(path, updateBundle(path, added))
	}
	for _, a := range anchors {
		path := filepath.Join(a.dir, anchorName)
		if len(added) == 0 {
			report(path, removeAnchor(path))
		} else if a.exists() {
			report(path, writeAnchor(path, added))
		}
	}
	if len(added) == 0 {
		for _, path := range []string{trustAdded, trustBundle, dirTrust} {
			report(path, os.Remove(path))
		}
	}
}

// report tells of an error, unless it is that there is no such file.
func report(path string, err error) {
	if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENOTDIR) {
		fmt.Fprintf(os.Stderr, "boxlite-guest: trust in %s: %v\n", path, err)
	}
}

func updateBundle(path string, added []byte) error {
	b, err := openBundle(path)
	if err != nil {
		return err
	}
	defer b.close()
	return b.replace(appendBlock(b.without(), added))
}

// exists reports whether the distribution has this way of adding certificates.
func (a anchor) exists() bool {
	for _, path := range []string{a.dir, a.tool} {
		if _, err := os.Lstat(path); err == nil {
			return true
		}
	}
	return false
}

// writeAnchor writes the file from which a distribution's tool takes certificates.
// It is a block like the one in a bundle, so that what the tool makes of it is
// found again there.
func writeAnchor(path string, added []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	b, err := openBundle(path)
	if errors.Is(err, unix.ENOENT) {
		if err := makeFile(path); err != nil {
			return err
		}
		b, err = openBundle(path)
	}
	if err != nil {
		return err
	}
	defer b.close()
	return b.replace(appendBlock(b.without(), added))
}

// removeAnchor removes our file again, unless there is something else in it.
func removeAnchor(path string) error {
	b, err := openBundle(path)
	if err != nil {
		return err
	}
	defer b.close()
	if rest := b.without(); len(rest) > 0 {
		return b.replace(rest)
	}
	return os.NewSyscallError("unlink", unix.Unlinkat(int(b.dir.Fd()), b.name, 0))
}
