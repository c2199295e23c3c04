package kvmlab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// fetched returns a folder into which fetch has put packages. It does so once.
func fetched(ctx context.Context, dir string, fetch func(ctx context.Context, dir string) error) (string, error) {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return dir, err
	}
	try := func() error {
		if err := os.RemoveAll(dir + ".new"); err != nil {
			return err
		}
		if err := os.MkdirAll(dir+".new", 0o755); err != nil {
			return err
		}
		return fetch(ctx, dir+".new")
	}
	err := try()
	// It needs no root, unless the lists of packages are missing or too old.
	if err != nil && ctx.Err() == nil && os.Geteuid() == 0 {
		if _, err = output(ctx, "", "apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300", "update"); err == nil {
			err = try()
		}
	}
	if err != nil {
		return "", err
	}
	return dir, os.Rename(dir+".new", dir)
}

// unpackPackages downloads packages and unpacks them in dir. They aren't installed: the host has
// no use for them.
func unpackPackages(ctx context.Context, dir string, options []string, names ...string) error {
	args := append(append([]string{"-qq", "-o", "APT::Sandbox::User=root"}, options...), "download")
	if _, err := output(ctx, dir, "apt-get", append(args, names...)...); err != nil {
		return err
	}
	packages, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(packages) != len(names) {
		return fmt.Errorf("%d packages were downloaded, not %d", len(packages), len(names))
	}
	for _, path := range packages {
		if _, err := output(ctx, "", "dpkg-deb", "-x", path, dir); err != nil {
			return err
		}
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

// output runs a program, and returns what it prints.
func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(exit.Stderr)))
	}
	return string(out), err
}
