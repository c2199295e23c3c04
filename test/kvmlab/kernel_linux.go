package kvmlab

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
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

// findKernel returns the kernel in dir, after downloading it if there is none.
func findKernel(ctx context.Context, dir string) (kernel, error) {
	dir, err := fetched(ctx, filepath.Join(dir, "kernel"), fetchKernel)
	if err != nil {
		return kernel{}, &protocol.Error{
			Op: "download Debian's kernel for the lab", Err: err,
			Hint: "see whether these work: sudo apt-get update && apt-get download " + kernelPackage,
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

// fetchKernel unpacks the newest kernel.
func fetchKernel(ctx context.Context, dir string) error {
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
	return unpackPackages(ctx, dir, nil, words[at])
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
