package boxlite

import (
	"errors"
	"io/fs"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

// FileStat is what [fs.FileInfo.Sys] returns for a file of a box.
type FileStat struct {
	UID, GID uint32
	// Inode tells one file of a file system from another, Links is how many names
	// it has.
	Inode, Links uint64
	// Device is the number of a device file.
	Device uint64
}

// fileInfo describes a file of a box. It implements fs.FileInfo and fs.DirEntry.
type fileInfo struct {
	name     string
	size     int64
	mode     fs.FileMode
	modified time.Time
	stat     FileStat
	target   string
}

// newFileInfo checks what the agent says.
func newFileInfo(i *boxlitev1.FileInfo) (*fileInfo, error) {
	name := string(i.GetName())
	if name == "" || name == "." || name == ".." || name != "/" && strings.ContainsAny(name, "/\x00") || len(name) > unix.PathMax {
		return nil, &Error{Kind: ErrRPC, Err: errors.New("the box's agent names a file that can't be")}
	}
	return &fileInfo{
		name: name, size: max(0, i.GetSize()), mode: fileMode(i.GetMode()),
		modified: time.Unix(i.GetModifiedSeconds(), int64(min(i.GetModifiedNanos(), 1e9-1))),
		stat: FileStat{
			UID: i.GetUid(), GID: i.GetGid(), Inode: i.GetInode(), Links: i.GetLinks(), Device: i.GetDevice(),
		},
		target: string(i.GetTarget()),
	}, nil
}

func (i *fileInfo) Name() string               { return i.name }
func (i *fileInfo) Size() int64                { return i.size }
func (i *fileInfo) Mode() fs.FileMode          { return i.mode }
func (i *fileInfo) ModTime() time.Time         { return i.modified }
func (i *fileInfo) IsDir() bool                { return i.mode.IsDir() }
func (i *fileInfo) Sys() any                   { return &i.stat }
func (i *fileInfo) Type() fs.FileMode          { return i.mode.Type() }
func (i *fileInfo) Info() (fs.FileInfo, error) { return i, nil }
func (i *fileInfo) String() string             { return fs.FormatFileInfo(i) }

// Numbers of the guest's stat(2), which is Linux whatever the host is.
const (
	guestFormat                      = 0o170000
	guestFIFO                        = 0o010000
	guestChar                        = 0o020000
	guestFolder                      = 0o040000
	guestBlock                       = 0o060000
	guestRegular                     = 0o100000
	guestLink                        = 0o120000
	guestSocket                      = 0o140000
	guestSetUID, guestSetGID, sticky = 0o4000, 0o2000, 0o1000
)

var guestTypes = map[uint32]fs.FileMode{
	guestRegular: 0, guestFolder: fs.ModeDir, guestLink: fs.ModeSymlink, guestFIFO: fs.ModeNamedPipe,
	guestSocket: fs.ModeSocket, guestBlock: fs.ModeDevice, guestChar: fs.ModeDevice | fs.ModeCharDevice,
}

func fileMode(m uint32) fs.FileMode {
	kind, ok := guestTypes[m&guestFormat]
	if !ok {
		kind = fs.ModeIrregular
	}
	mode := kind | fs.FileMode(m&0o777)
	for bit, to := range map[uint32]fs.FileMode{guestSetUID: fs.ModeSetuid, guestSetGID: fs.ModeSetgid, sticky: fs.ModeSticky} {
		if m&bit != 0 {
			mode |= to
		}
	}
	return mode
}

// guestMode returns the guest's permissions.
func guestMode(m fs.FileMode) uint32 {
	mode := uint32(m.Perm())
	for bit, from := range map[uint32]fs.FileMode{guestSetUID: fs.ModeSetuid, guestSetGID: fs.ModeSetgid, sticky: fs.ModeSticky} {
		if m&from != 0 {
			mode |= bit
		}
	}
	return mode
}
