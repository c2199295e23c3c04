package assets

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

func needGuest(t *testing.T) {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("there is no guest for " + runtime.GOARCH)
	}
}

func TestUnpackGivesKernelAndInitrd(t *testing.T) {
	needGuest(t)
	dir := filepath.Join(t.TempDir(), "init", "rootfs")
	boot, err := Unpack(dir)
	if err != nil {
		t.Fatal(err)
	}
	vmlinux, err := os.ReadFile(boot.Kernel)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(vmlinux, []byte("\x7fELF")) {
		t.Error("the kernel is not an ELF executable")
	}
	initrd, err := os.ReadFile(boot.Initrd)
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(initrd)) != initrdSize(mustSize(t, guestAgent)) {
		t.Errorf("the initrd has %d bytes, not the size that was foretold", len(initrd))
	}
	files := readCpio(t, initrd)
	if init := files["init"]; !bytes.HasPrefix(init, []byte("\x7fELF")) || int64(len(init)) != mustSize(t, guestAgent) {
		t.Errorf("/init has %d bytes and is not the agent", len(init))
	}
	if _, ok := files["dev/console"]; !ok {
		t.Error("/dev/console is missing: the agent would have no standard output")
	}
}

func TestUnpackAgainLeavesFilesAlone(t *testing.T) {
	needGuest(t)
	dir := t.TempDir()
	first, err := Unpack(dir)
	if err != nil {
		t.Fatal(err)
	}
	before := mustStat(t, first.Kernel)
	second, err := Unpack(dir)
	if err != nil {
		t.Fatal(err)
	}
	if first != second || !os.SameFile(before, mustStat(t, second.Kernel)) {
		t.Error("the kernel was written twice")
	}
}

func TestUnpackRepairs(t *testing.T) {
	needGuest(t)
	dir := t.TempDir()
	boot, err := Unpack(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := mustStat(t, boot.Initrd).Size()
	for name, damage := range map[string]func(path string) error{
		"missing file":   os.Remove,
		"truncated file": func(path string) error { return errors.Join(os.Chmod(path, 0o600), os.Truncate(path, 1000)) },
		"half-written beside": func(path string) error {
			return errors.Join(os.Remove(path), os.WriteFile(path+".new", []byte("half"), 0o444))
		},
		"folder in its place": func(path string) error {
			return errors.Join(os.Remove(path), os.Mkdir(path, 0o700), os.WriteFile(filepath.Join(path, "file"), nil, 0o600))
		},
		"link to elsewhere": func(path string) error { return errors.Join(os.Remove(path), os.Symlink("/dev/null", path)) },
	} {
		t.Run(name, func(t *testing.T) {
			if err := damage(boot.Initrd); err != nil {
				t.Fatal(err)
			}
			if _, err := Unpack(dir); err != nil {
				t.Fatal(err)
			}
			if got := mustStat(t, boot.Initrd); got.Size() != want || !got.Mode().IsRegular() {
				t.Errorf("got %d bytes of %s, want a file of %d", got.Size(), got.Mode(), want)
			}
			if left, err := filepath.Glob(filepath.Join(filepath.Dir(boot.Initrd), "*.new")); err != nil || len(left) != 0 {
				t.Errorf("left behind: %v (%v)", left, err)
			}
		})
	}
}

func TestUnpackAtOnce(t *testing.T) {
	needGuest(t)
	dir := t.TempDir()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			boot, err := Unpack(dir)
			if err != nil {
				t.Error(err)
				return
			}
			if size := mustStat(t, boot.Initrd).Size(); size != initrdSize(mustSize(t, guestAgent)) {
				t.Errorf("saw an initrd of %d bytes", size)
			}
		})
	}
	all.Wait()
}

func TestUnpackRemovesWhatIsLongUnused(t *testing.T) {
	needGuest(t)
	dir := t.TempDir()
	old, recent := filepath.Join(dir, "old"), filepath.Join(dir, "recent")
	for folder, age := range map[string]time.Duration{old: keepUnused + time.Hour, recent: keepUnused - time.Hour} {
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		used := time.Now().Add(-age)
		if err := os.Chtimes(folder, used, used); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Unpack(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old folder is still there: %v", err)
	}
	mustStat(t, recent)
}

func TestUnpackRecordsUse(t *testing.T) {
	needGuest(t)
	dir := t.TempDir()
	boot, err := Unpack(dir)
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Dir(boot.Kernel)
	used := time.Now().Add(-keepUnused - time.Hour)
	if err := os.Chtimes(folder, used, used); err != nil {
		t.Fatal(err)
	}
	if _, err := Unpack(dir); err != nil {
		t.Fatal(err)
	}
	if age := time.Since(mustStat(t, folder).ModTime()); age > touchAfter {
		t.Errorf("the folder seems unused for %v", age)
	}
}

func TestUnpackIntoWhatIsNoFolder(t *testing.T) {
	needGuest(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Unpack(filepath.Join(file, "rootfs"))
	if !errors.Is(err, protocol.KindStorage) || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v, want a storage error that names the path", err)
	}
}

func TestWritingToAFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("needs /dev/full: ", err)
	}
	defer full.Close()
	err = unpackError("/home", WriteInitrd(full, 4, func(w io.Writer) error {
		_, err := w.Write([]byte("init"))
		return err
	}))
	if !errors.Is(err, protocol.KindResourceExhausted) || protocol.HintOf(err) == "" {
		t.Errorf("got %v, want that the disk is full and what to do", err)
	}
}

// TestCpioIsReadByCpio compares with what another program reads.
func TestCpioIsReadByCpio(t *testing.T) {
	cpio, err := exec.LookPath("cpio")
	if err != nil {
		t.Skip("needs cpio: ", err)
	}
	var archive bytes.Buffer
	content := []byte("seven b")
	err = WriteInitrd(&archive, int64(len(content)), func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	list := exec.Command(cpio, "-itv", "--quiet")
	list.Stdin = &archive
	out, err := list.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if lines := strings.Count(string(out), "\n"); lines != len(initrdEntries)+1 {
		t.Errorf("cpio lists:\n%s", out)
	}
}

func mustStat(t *testing.T, path string) os.FileInfo {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Error(err)
		t.FailNow()
	}
	return info
}

func mustSize(t *testing.T, packed string) int64 {
	t.Helper()
	size, err := unpackedSize(packed)
	if err != nil {
		t.Error(err)
	}
	return size
}

// readCpio reads an archive the way the kernel does (init/initramfs.c).
func readCpio(t *testing.T, archive []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for at := 0; ; {
		header := archive[at:]
		if string(header[:6]) != "070701" {
			t.Fatalf("no header at %d: %.10q", at, header)
		}
		field := func(i int) int {
			n, err := strconv.ParseUint(string(header[6+8*i:][:8]), 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			return int(n)
		}
		size, nameSize := field(6), field(11)
		name := string(header[cpioHeaderSize:][:nameSize-1])
		at += (cpioHeaderSize + nameSize + 3) &^ 3
		if name == cpioTrailer {
			return files
		}
		files[name] = archive[at:][:size]
		at += (size + 3) &^ 3
	}
}
