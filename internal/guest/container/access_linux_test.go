package container

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// TestOpen: files are opened as the container's processes see them, mounts and
// all, and no further.
func TestOpen(t *testing.T) {
	root := newRoot(t)
	outside := t.TempDir()
	mustDo(t, os.Symlink(outside, root+"/out"))
	mustDo(t, os.Symlink("../../../../..", root+"/up"))
	c := newContainer(t, Config{Root: root, User: "ada"})
	sh(t, c, "echo seen >/dev/shm/file; ln -s /proc/1/root /tmp/magic")
	fd, err := c.Open("/dev/shm/file", unix.O_RDONLY, 0)
	mustDo(t, err)
	f := os.NewFile(uintptr(fd), "file")
	defer f.Close()
	text := make([]byte, 10)
	if n, err := f.Read(text); err != nil || string(text[:n]) != "seen\n" {
		t.Errorf("got %q, %v", text[:n], err)
	}
	fd, err = c.Open("/up/dev/shm/new", unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o600)
	mustDo(t, err)
	unix.Close(fd)
	if got := sh(t, c, "stat -c %a /dev/shm/new"); got != "600" {
		t.Errorf("got %q", got)
	}
	for path, want := range map[string]error{
		"/out": unix.ENOENT, "/tmp/magic": unix.ELOOP, "/proc/1/root/etc": unix.ELOOP, "/nosuch": unix.ENOENT,
	} {
		if _, err := c.Open(path, unix.O_PATH, 0); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
	if uid, gid, err := c.Owner(); uid != 1000 || gid != 1000 || err != nil {
		t.Errorf("got %d:%d, %v", uid, gid, err)
	}
	c.Kill()
	if _, err := c.Open("/", unix.O_PATH, 0); !errors.Is(err, protocol.KindStopped) {
		t.Errorf("got %v", err)
	}
	if _, _, err := c.Owner(); !errors.Is(err, protocol.KindStopped) {
		t.Errorf("got %v", err)
	}
}
