//go:build amd64

package snapshot

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/memory"
)

// Write writes a machine to a regular file that is empty. Who needs it to outlive the host
// syncs the file.
func Write(file *os.File, h Header, m *memory.Memory) error {
	size, err := sizeOf(file)
	if err != nil {
		return err
	}
	if size != 0 {
		return errors.New("the file for the machine's state is not empty")
	}
	prefix, text, err := h.encode()
	if err != nil {
		return err
	}
	if _, err := file.WriteAt(text, prefixSize); err != nil {
		return err
	}
	if _, err := m.Save(file, Space); err != nil {
		return err
	}
	end := Space + int64(m.Size())
	if size, err = sizeOf(file); err != nil {
		return err
	}
	if size < end { // the last pages are not there
		if _, err := file.WriteAt([]byte{0}, end-1); err != nil {
			return err
		}
	}
	_, err = file.WriteAt(prefix, 0)
	return err
}

// Read reads and checks all but the memory.
func Read(file *os.File) (Header, error) {
	h, err := read(file)
	if err != nil {
		return Header{}, fmt.Errorf("the machine's state can't be read: %w", err)
	}
	return h, nil
}

func read(file *os.File) (Header, error) {
	size, err := sizeOf(file)
	if err != nil {
		return Header{}, err
	}
	prefix := make([]byte, prefixSize)
	n, err := file.ReadAt(prefix, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return Header{}, err
	}
	if n, err = textLength(prefix[:n]); err != nil {
		return Header{}, err
	}
	text := make([]byte, n)
	if _, err := file.ReadAt(text, prefixSize); errors.Is(err, io.EOF) {
		return Header{}, fmt.Errorf("%w: it ends in its header", errDamaged)
	} else if err != nil {
		return Header{}, err
	}
	h, err := decode(prefix, text)
	if err != nil {
		return Header{}, err
	}
	if want := Space + int64(h.Config.MemoryMiB)<<20; size != want {
		return Header{}, fmt.Errorf("%w: it has %d bytes, not %d", errDamaged, size, want)
	}
	return h, nil
}

// ReadMemory reads the memory, into one of the same size that is all zero.
func ReadMemory(file *os.File, m *memory.Memory) error {
	if _, err := m.Load(file, Space); err != nil {
		return fmt.Errorf("the machine's memory can't be read: %w", err)
	}
	return nil
}

func sizeOf(file *os.File) (int64, error) {
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, errors.New("the machine's state is no regular file")
	}
	return info.Size(), nil
}
