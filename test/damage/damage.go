// Package damage spoils files in the ways in which they get spoilt.
package damage

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
)

// Ways are what may happen to a file.
var Ways = map[string]func(path string) error{
	"emptied":     func(path string) error { return os.Truncate(path, 0) },
	"cut in half": half,
	"flipped":     flip,
	"noise":       noise,
	"a folder":    folder,
	"removed":     os.RemoveAll,
}

// half cuts off the second half of a file.
func half(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return os.Truncate(path, info.Size()/2)
}

// flip changes every bit of some bytes in the middle.
func flip(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	b := make([]byte, min(64, info.Size()/2))
	at := (info.Size() - int64(len(b))) / 2
	if _, err := f.ReadAt(b, at); err != nil {
		return err
	}
	for i := range b {
		b[i] = ^b[i]
	}
	_, err = f.WriteAt(b, at)
	return err
}

// noise replaces the content by as many random bytes, or a few thousand.
func noise(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	b := make([]byte, min(info.Size(), 4096))
	for i := range b {
		b[i] = byte(rand.IntN(256))
	}
	return os.WriteFile(path, b, 0o600)
}

// folder puts a folder, with something in it, in the file's place.
func folder(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.MkdirAll(path+"/in/it", 0o700)
}
