package kvmlab

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// What is the same for all jobs is made once, and kept in dist/kvmlab.
var (
	//go:embed first.sh
	firstScript []byte
	//go:embed init.sh
	initScript []byte
)

// parts are the open files of which the lab's machine is made.
type parts struct{ kernel, initrd, root *os.File }

func (p parts) files() []*os.File { return []*os.File{p.kernel, p.initrd, p.root} }

// openParts makes the parts that are missing or out of date. Others who need them
// wait meanwhile.
func openParts(ctx context.Context) (parts, error) {
	tools, err := findTools()
	if err != nil {
		return parts{}, err
	}
	dir, err := cacheDir()
	if err != nil {
		return parts{}, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return parts{}, err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return parts{}, err
	}
	kernel, err := findKernel(ctx, dir)
	if err != nil {
		return parts{}, err
	}
	initrd, err := cached(filepath.Join(dir, "initrd"), func(path string) error {
		return writeInitrd(path, kernel, tools.busybox)
	}, kernel.release, string(firstScript), strings.Join(modules, " "), identity(tools.busybox))
	if err != nil {
		return parts{}, fmt.Errorf("make the lab's first root: %w", err)
	}
	contents, err := rootFiles(tools)
	if err != nil {
		return parts{}, err
	}
	words := []string{string(initScript), rootVersion}
	for _, name := range sortedNames(contents) {
		words = append(words, name, identity(contents[name]))
	}
	root, err := cached(filepath.Join(dir, "root"), func(path string) error {
		return writeRoot(ctx, path, tools, contents)
	}, words...)
	if err != nil {
		return parts{}, fmt.Errorf("make the lab's root: %w", err)
	}
	var open parts
	for _, f := range []struct {
		to   **os.File
		path string
	}{{&open.kernel, kernel.image}, {&open.initrd, initrd}, {&open.root, root}} {
		file, fileErr := os.Open(f.path)
		*f.to, err = file, errors.Join(err, fileErr)
	}
	return open, err
}

// cached returns the path of a file made from what words say. If there is none, it
// is made, and those made from anything else are removed.
func cached(stem string, write func(path string) error, words ...string) (string, error) {
	sum := sha256.New()
	for _, word := range words {
		fmt.Fprintf(sum, "%d %s\n", len(word), word)
	}
	path := fmt.Sprintf("%s-%x", stem, sum.Sum(nil)[:8])
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	old, err := filepath.Glob(stem + "-*")
	if err != nil {
		return "", err
	}
	for _, name := range old {
		if err := os.RemoveAll(name); err != nil {
			return "", err
		}
	}
	if err := write(path + ".new"); err != nil {
		return "", err
	}
	return path, os.Rename(path+".new", path)
}

// identity changes when a file does.
func identity(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s %d %d", path, info.Size(), info.ModTime().UnixNano())
}

// cacheDir is dist/kvmlab of the tree that we run in.
func cacheDir() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			dir = filepath.Join(dir, "dist", "kvmlab")
			return dir, os.MkdirAll(dir, 0o755)
		}
		if dir == filepath.Dir(dir) {
			return "", &protocol.Error{
				Op: "find a place for the lab's files", Hint: "run it in BoxLite's source tree",
				Err: errors.New("no folder above this one has a go.mod"),
			}
		}
		dir = filepath.Dir(dir)
	}
}
