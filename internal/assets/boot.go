package assets

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/gofrs/flock"

	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/boxlite-go/boxlite/kernel"
)

// Boot names the files that a virtual machine boots from.
type Boot struct {
	// Kernel is an uncompressed ELF executable.
	Kernel string
	// Initrd is an uncompressed cpio archive, with the guest agent as /init.
	Initrd string
}

const (
	// keepUnused is how long the files of other versions of BoxLite are kept
	// after their last use.
	keepUnused = 7 * 24 * time.Hour
	// touchAfter is how exactly the last use is recorded.
	touchAfter = 24 * time.Hour
)

// Unpack makes sure that kernel and agent are files under dir, in a folder named
// by their content, and returns their paths. When they are there already it only
// looks at them; a file that is incomplete is written again.
//
// Any number of processes may do this at once. What other versions of BoxLite
// have left in dir and not used for a week is removed.
func Unpack(dir string) (Boot, error) {
	b, err := unpack(dir)
	if err != nil {
		return Boot{}, unpackError(dir, err)
	}
	return b, nil
}

func unpack(dir string) (Boot, error) {
	if guestAgent == "" || kernel.Vmlinux == "" {
		return Boot{}, &protocol.Error{
			Kind: protocol.KindUnsupported,
			Hint: hintArchitecture,
			Err:  fmt.Errorf("no guest kernel for %s is part of BoxLite", runtime.GOARCH),
		}
	}
	files, err := bootFiles()
	if err != nil {
		return Boot{}, err
	}
	folder := filepath.Join(dir, bootName(files))
	boot := Boot{Kernel: filepath.Join(folder, files[0].name), Initrd: filepath.Join(folder, files[1].name)}
	touch(folder)
	if areWhole(folder, files) {
		return boot, nil
	}

	if err := os.MkdirAll(folder, 0o700); err != nil {
		return Boot{}, err
	}
	lock := flock.New(filepath.Join(dir, "lock"), flock.SetPermissions(0o600))
	if err := lock.Lock(); err != nil {
		return Boot{}, err
	}
	defer lock.Close()
	for _, f := range files {
		if f.isWhole(folder) {
			continue
		}
		if err := f.create(folder); err != nil {
			return Boot{}, fmt.Errorf("write %s: %w", f.name, err)
		}
	}
	removeUnused(dir, time.Now().Add(-keepUnused))
	return boot, nil
}

func bootFiles() ([]bootFile, error) {
	kernelSize, err := unpackedSize(kernel.Vmlinux)
	if err != nil {
		return nil, err
	}
	agentSize, err := unpackedSize(guestAgent)
	if err != nil {
		return nil, err
	}
	return []bootFile{
		{"vmlinux", kernelSize, func(w io.Writer) error { return copyUnpacked(w, kernel.Vmlinux) }},
		{"initrd.cpio", initrdSize(agentSize), func(w io.Writer) error {
			return WriteInitrd(w, agentSize, func(w io.Writer) error { return copyUnpacked(w, guestAgent) })
		}},
	}, nil
}

// bootName is the name of the folder for files: it changes with the embedded
// files, and with the layout of the initial file system.
func bootName(files []bootFile) string {
	sum := sha256.New()
	fmt.Fprintf(sum, "%s%v", bootDigests, initrdEntries)
	for _, f := range files {
		fmt.Fprintf(sum, " %s %d", f.name, f.size)
	}
	return hex.EncodeToString(sum.Sum(nil)[:16])
}

func areWhole(folder string, files []bootFile) bool {
	for _, f := range files {
		if !f.isWhole(folder) {
			return false
		}
	}
	return true
}

// touch records that folder is in use.
func touch(folder string) {
	info, err := os.Stat(folder)
	if now := time.Now(); err == nil && now.Sub(info.ModTime()) > touchAfter {
		_ = os.Chtimes(folder, now, now)
	}
}

// removeUnused removes folders that were last used before a time. Failing to do
// so costs only space. The caller holds the lock.
func removeUnused(dir string, before time.Time) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && e.IsDir() && info.ModTime().Before(before) {
			_ = os.RemoveAll(filepath.Join(dir, e.Name()))
		}
	}
}
