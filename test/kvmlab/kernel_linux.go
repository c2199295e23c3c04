package kvmlab

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// kernelPackage depends on the package with the newest kernel for clouds: that has
// what the lab needs, and little else.
const kernelPackage = "linux-image-cloud-amd64"

// modules of the kernel that the lab loads, after those that they depend on.
var modules = []string{
	"virtio_pci", "virtio_blk", "virtio_console", "virtio-rng",
	"kvm-amd", "overlay", "loop", "tun", "fuse", "erofs",
}

// kernel is an unpacked kernel package.
type kernel struct{ release, image, modules string }

// findKernel returns the kernel in dir, after downloading it if there is none. It
// isn't installed: the host has no use for it.
func findKernel(ctx context.Context, dir string) (kernel, error) {
	dir = filepath.Join(dir, "kernel")
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := downloadKernel(ctx, dir+".new"); err != nil {
			return kernel{}, err
		}
		if err := os.Rename(dir+".new", dir); err != nil {
			return kernel{}, err
		}
	}
	images, err := filepath.Glob(filepath.Join(dir, "boot", "vmlinuz-*"))
	if err != nil || len(images) != 1 {
		return kernel{}, &protocol.Error{
			Op: "look for the lab's kernel", Hint: "remove " + dir + ", and try again",
			Err: fmt.Errorf("%d kernels, not one", len(images)),
		}
	}
	_, release, _ := strings.Cut(filepath.Base(images[0]), "-")
	return kernel{release, images[0], filepath.Join(dir, "lib", "modules", release, "kernel")}, nil
}

// downloadKernel unpacks the newest kernel in dir. It needs no root, unless the
// lists of packages are missing or too old.
func downloadKernel(ctx context.Context, dir string) error {
	err := tryDownload(ctx, dir)
	if err != nil && ctx.Err() == nil && os.Geteuid() == 0 {
		if _, err = output(ctx, "", "apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300", "update"); err == nil {
			err = tryDownload(ctx, dir)
		}
	}
	if err == nil {
		return nil
	}
	return &protocol.Error{
		Op: "download Debian's kernel for the lab", Err: err,
		Hint: "see whether these work: sudo apt-get update && apt-get download " + kernelPackage,
	}
}

func tryDownload(ctx context.Context, dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	depends, err := output(ctx, "", "apt-cache", "depends", "--important", kernelPackage)
	if err != nil {
		return err
	}
	words := strings.Fields(depends)
	at := slices.IndexFunc(words, func(w string) bool {
		return strings.HasPrefix(w, "linux-image-") && w != kernelPackage
	})
	if at < 0 {
		return errors.New(kernelPackage + " depends on no kernel")
	}
	if _, err := output(ctx, dir, "apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", words[at]); err != nil {
		return err
	}
	packages, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(packages) != 1 {
		return fmt.Errorf("%d packages were downloaded, not one", len(packages))
	}
	if _, err := output(ctx, "", "dpkg-deb", "-x", packages[0], dir); err != nil {
		return err
	}
	return os.Remove(packages[0])
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

// withDependencies returns the files of the lab's modules, in an order in which
// they can be loaded.
func (k kernel) withDependencies() ([]string, error) {
	files := map[string]string{}
	err := filepath.WalkDir(k.modules, func(path string, _ fs.DirEntry, err error) error {
		if name, ok := strings.CutSuffix(filepath.Base(path), ".ko"); ok {
			files[strings.ReplaceAll(name, "-", "_")] = path
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	var ordered []string
	var add func(name string) error
	add = func(name string) error {
		path, ok := files[strings.ReplaceAll(name, "-", "_")]
		if !ok {
			return fmt.Errorf("the kernel has no module %s", name)
		}
		if slices.Contains(ordered, path) {
			return nil
		}
		needed, err := dependencies(path)
		if err != nil {
			return err
		}
		for _, other := range needed {
			if err := add(other); err != nil {
				return err
			}
		}
		ordered = append(ordered, path)
		return nil
	}
	for _, name := range modules {
		if err := add(name); err != nil {
			return nil, err
		}
	}
	return ordered, nil
}

// dependencies returns the modules that a module says it depends on.
func dependencies(path string) ([]string, error) {
	module, err := elf.Open(path)
	if err != nil {
		return nil, err
	}
	defer module.Close()
	section := module.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("%s: no module", path)
	}
	info, err := section.Data()
	if err != nil {
		return nil, err
	}
	for line := range strings.SplitSeq(string(info), "\x00") {
		if names, ok := strings.CutPrefix(line, "depends="); ok {
			return strings.FieldsFunc(names, func(r rune) bool { return r == ',' }), nil
		}
	}
	return nil, nil
}
