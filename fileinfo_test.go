package boxlite

import (
	"io/fs"
	"testing"

	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

func TestFileModes(t *testing.T) {
	for guest, want := range map[uint32]fs.FileMode{
		0o100644: 0o644, 0o104755: fs.ModeSetuid | 0o755, 0o041777: fs.ModeDir | fs.ModeSticky | 0o777,
		0o120777: fs.ModeSymlink | 0o777, 0o020666: fs.ModeDevice | fs.ModeCharDevice | 0o666, 0o060660: fs.ModeDevice | 0o660,
		0o010600: fs.ModeNamedPipe | 0o600, 0o140600: fs.ModeSocket | 0o600, 0o102755: fs.ModeSetgid | 0o755, 0o600: fs.ModeIrregular | 0o600,
	} {
		if got := fileMode(guest); got != want {
			t.Errorf("%o becomes %v, want %v", guest, got, want)
		}
		if got := guestMode(want); got != guest&0o7777 {
			t.Errorf("%v becomes %o, want %o", want, got, guest&0o7777)
		}
	}
}

// FuzzFileInfo: whatever the agent says of a file, it is one, in its folder.
func FuzzFileInfo(f *testing.F) {
	f.Add([]byte("name"), uint32(0o100644), int64(5), int64(1), uint32(2))
	f.Add([]byte("../x"), uint32(0), int64(-1), int64(-1<<63), uint32(1<<32-1))
	f.Add([]byte(".."), uint32(1<<31), int64(0), int64(0), uint32(0))
	f.Fuzz(func(t *testing.T, name []byte, mode uint32, size, seconds int64, nanos uint32) {
		i, err := newFileInfo(&boxlitev1.FileInfo{Name: name, Mode: mode, Size: size, ModifiedSeconds: seconds, ModifiedNanos: nanos})
		if err != nil {
			return
		}
		if i.Name() == "" || i.Name() == ".." || i.Size() < 0 || i.String() == "" || i.ModTime().String() == "" {
			t.Errorf("got %v", i)
		}
	})
}

func TestFileOps(t *testing.T) {
	e, ok := eventOfFile("etc", &boxlitev1.FileWatchResponse{Path: []byte("../../x"), Mask: 0x40000100, Cookie: 3})
	if !ok || e != (FileEvent{Name: "etc/x", Op: FileCreated, Dir: true, Cookie: 3}) {
		t.Errorf("got %+v", e)
	}
	if e, ok := eventOfFile("etc", &boxlitev1.FileWatchResponse{Mask: 0x4000}); !ok || e != (FileEvent{Op: FileOverflow}) {
		t.Errorf("got %+v", e)
	}
	if _, ok := eventOfFile("etc", &boxlitev1.FileWatchResponse{Mask: 1}); ok {
		t.Error("an access is an event")
	}
	if got := (FileCreated | FileMovedTo).String(); got != "create|moved-to" {
		t.Errorf("got %q", got)
	}
}
