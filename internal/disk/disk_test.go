package disk

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/boxlite-go/boxlite/internal/assets"
	"github.com/boxlite-go/boxlite/internal/protocol"
)

const gib = 1 << 30

func TestCreateMakesAPrivateFileOfTheSize(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk.img")
	if err := Create(path, 10*gib+4096); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() != 10*gib+4096 || info.Mode().Perm() != 0o600 {
		t.Errorf("got %d bytes with mode %s", info.Size(), info.Mode())
	}
}

func TestCreateTakesLittleSpace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk.img")
	if err := Create(path, MaxBytes); errors.Is(err, syscall.EFBIG) {
		t.Skip("this file system has a smaller limit: ", err)
	} else if err != nil {
		t.Fatal(err)
	}
	got, err := Allocated(path)
	if err != nil {
		t.Fatal(err)
	}
	if got > 1<<20 {
		t.Errorf("an empty disk takes %d bytes of the host", got)
	}
}

func TestCreatedDiskPassesFsck(t *testing.T) {
	fsck, err := exec.LookPath("e2fsck")
	if err != nil {
		if fsck, err = exec.LookPath("/usr/sbin/e2fsck"); err != nil {
			t.Skip("needs e2fsck: ", err)
		}
	}
	for _, size := range []int64{MinBytes, gib, 10 * gib, 20 * gib} {
		path := filepath.Join(t.TempDir(), "disk.img")
		if err := Create(path, size); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(fsck, "-fn", path).CombinedOutput(); err != nil {
			t.Errorf("%d bytes: %v:\n%s", size, err, out)
		}
	}
}

func TestCreateRefuses(t *testing.T) {
	dir := t.TempDir()
	taken := filepath.Join(dir, "taken")
	if err := os.WriteFile(taken, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		path string
		size int64
		want protocol.Kind
	}{
		"too small":        {filepath.Join(dir, "disk"), MinBytes - 1, protocol.KindInvalidArgument},
		"negative":         {filepath.Join(dir, "disk"), -1, protocol.KindInvalidArgument},
		"too large":        {filepath.Join(dir, "disk"), MaxBytes + 1, protocol.KindInvalidArgument},
		"path taken":       {taken, gib, protocol.KindAlreadyExists},
		"folder not there": {filepath.Join(dir, "no", "disk"), gib, protocol.KindStorage},
	} {
		t.Run(name, func(t *testing.T) {
			if err := Create(c.path, c.size); !errors.Is(err, c.want) {
				t.Errorf("got %v, want a %v error", err, c.want)
			}
		})
	}
	if content, err := os.ReadFile(taken); err != nil || string(content) != "precious" {
		t.Errorf("the file that was there holds %q (%v)", content, err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("left behind: %v (%v)", files, err)
	}
}

func TestCreateReplacesWhatACrashLeft(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk.img")
	if err := os.WriteFile(path+".new", bytes.Repeat([]byte("half"), 100_000), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Create(path, gib); err != nil {
		t.Fatal(err)
	}
	if got, err := Allocated(path); err != nil || got > 400_000 {
		t.Errorf("the disk takes %d bytes (%v): old content is still there", got, err)
	}
}

func TestWritingToAFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("needs /dev/full: ", err)
	}
	defer full.Close()
	err = createError("disk.img", assets.WriteEmptyDisk(full, gib))
	if !errors.Is(err, protocol.KindResourceExhausted) || protocol.HintOf(err) == "" {
		t.Errorf("got %v, want that the disk is full and what to do", err)
	}
}

func TestAllocatedOfWhatIsNotThere(t *testing.T) {
	if _, err := Allocated(filepath.Join(t.TempDir(), "disk")); !errors.Is(err, protocol.KindNotFound) {
		t.Errorf("got %v", err)
	}
}
