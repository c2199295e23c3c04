package e2e

import (
	"archive/tar"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/boxlite-go/boxlite/test/registry"
)

// scriptRegistry starts a registry, and sets REGISTRY to its host.
func scriptRegistry(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: registry")
	}
	dir := ts.MkAbs(".registry")
	ts.Check(os.Mkdir(dir, 0o700))
	host, stop, err := registry.Start(context.Background(), dir)
	ts.Check(err)
	ts.Defer(stop)
	ts.Setenv("REGISTRY", host)
}

// scriptDebian makes a Debian root file system, and sets ROOTFS to its tar: debian
// NAME OPTION..., with options for mmdebstrap.
func scriptDebian(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: debian NAME OPTION...")
	}
	cmd := exec.Command("../../scripts/debian-rootfs", append([]string{"debian-" + args[0]}, args[1:]...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		ts.Fatalf("%v: %s", err, &stderr)
	}
	ts.Setenv("ROOTFS", strings.TrimSpace(string(out)))
}

// scriptBusybox writes the tar of a small root file system: busybox FILE
func scriptBusybox(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: busybox FILE")
	}
	program, err := exec.LookPath("busybox")
	ts.Check(err)
	program, err = filepath.EvalSymlinks(program)
	ts.Check(err)
	applets, err := exec.Command(program, "--list").Output()
	ts.Check(err)
	text, err := os.ReadFile(program)
	ts.Check(err)
	file, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	defer file.Close()

	w := tar.NewWriter(file)
	add := func(h tar.Header, content string) {
		h.Size = int64(len(content))
		ts.Check(w.WriteHeader(&h))
		_, err := io.WriteString(w, content)
		ts.Check(err)
	}
	for _, dir := range []string{"bin/", "etc/", "tmp/"} {
		add(tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: 0o755}, "")
	}
	add(tar.Header{Name: "etc/passwd", Mode: 0o644}, "root:x:0:0:root:/:/bin/sh\n")
	add(tar.Header{Name: "bin/busybox", Mode: 0o755}, string(text))
	for _, applet := range strings.Fields(string(applets)) {
		if applet != "busybox" {
			add(tar.Header{Name: "bin/" + applet, Typeflag: tar.TypeSymlink, Linkname: "busybox"}, "")
		}
	}
	ts.Check(w.Close())
	ts.Check(file.Close())
}
