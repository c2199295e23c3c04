package child

import (
	"io"
	"net"
	"os"

	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/boxlite-go/boxlite/internal/vmm"
	"github.com/boxlite-go/boxlite/internal/vmm/console"
)

// Files are what a program inherits, and the ends of it that stay here. The zero Files has
// none.
type Files struct {
	// Inherited are the program's descriptors from FirstFile on.
	Inherited []*os.File
	// LargestDisk is the size in bytes of the largest disk that may be written.
	LargestDisk int64

	ours []io.Closer
}

// Connect adds a connection of a type such as syscall.SOCK_STREAM, and returns our end.
func (f *Files) Connect(kind int) (net.Conn, error) {
	ours, theirs, err := SocketPair(kind)
	if err != nil {
		return nil, &protocol.Error{Kind: protocol.KindEngine, Op: "connect to the VMM", Err: err}
	}
	f.Inherited = append(f.Inherited, theirs)
	f.ours = append(f.ours, ours)
	return ours, nil
}

// Pipe adds a pipe that the program writes to, and returns our end.
func (f *Files) Pipe() (*os.File, error) {
	ours, theirs, err := os.Pipe()
	if err != nil {
		return nil, &protocol.Error{Kind: protocol.KindEngine, Op: "connect to the VMM", Err: err}
	}
	f.Inherited = append(f.Inherited, theirs)
	f.ours = append(f.ours, ours)
	return ours, nil
}

// Open adds a file.
func (f *Files) Open(path string, mode int) error {
	file, err := os.OpenFile(path, mode, 0)
	if err == nil {
		f.Inherited = append(f.Inherited, file)
	}
	return err
}

// OpenDisk adds a disk, and returns it.
func (f *Files) OpenDisk(d vmm.Disk) (*os.File, error) {
	mode := os.O_RDWR
	if d.ReadOnly {
		mode = os.O_RDONLY
	}
	failed := func(err error) error {
		return &protocol.Error{Kind: protocol.KindStorage, Op: "open disk " + d.Serial, Err: err}
	}
	if err := f.Open(d.Path, mode); err != nil {
		return nil, failed(err)
	}
	file := f.Inherited[len(f.Inherited)-1]
	info, err := file.Stat()
	if err != nil {
		return nil, failed(err)
	}
	if !d.ReadOnly {
		f.LargestDisk = max(f.LargestDisk, info.Size())
	}
	return file, nil
}

// OpenConsole opens the file that keeps what the guest's console prints. It stays here.
func (f *Files) OpenConsole(path string) (*console.File, error) {
	c, err := console.Open(path)
	if err == nil {
		f.ours = append(f.ours, c)
	}
	return c, err
}

// CloseInherited closes what the program has inherited: only then do our ends notice that
// the program has closed its own.
func (f *Files) CloseInherited() {
	for _, file := range f.Inherited {
		_ = file.Close()
	}
	f.Inherited = nil
}

// Close closes everything, if the program did not start. Otherwise each of our ends is
// closed by who has it.
func (f *Files) Close() {
	f.CloseInherited()
	for _, c := range f.ours {
		_ = c.Close()
	}
	f.ours = nil
}
