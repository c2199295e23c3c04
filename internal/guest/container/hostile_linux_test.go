package container

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// TestHostileMountPoints: an image can't move the container's file systems to
// other places, least of all outside.
func TestHostileMountPoints(t *testing.T) {
	for name, change := range map[string]func(root string) error{
		"/proc is a link to /":   func(root string) error { return os.Symlink("/", root+"/proc") },
		"/proc is a link to etc": func(root string) error { return os.Symlink("etc", root+"/proc") },
		"/dev is a link to /":    func(root string) error { return os.Symlink("/", root+"/dev") },
		"/dev is a link upwards": func(root string) error { return os.Symlink("../../../../dev", root+"/dev") },
		"/dev is a dangling link": func(root string) error {
			return os.Symlink("/nowhere", root+"/dev")
		},
		"/sys is a file":         func(root string) error { return os.WriteFile(root+"/sys", nil, 0o644) },
		"/proc is a FIFO":        func(root string) error { return unix.Mkfifo(root+"/proc", 0o644) },
		"/etc/hosts is a folder": func(root string) error { return os.Mkdir(root+"/etc/hosts", 0o755) },
		"/etc/hosts is a loop":   func(root string) error { return os.Symlink("hosts", root+"/etc/hosts") },
		"/etc/hosts is in /proc": func(root string) error { return os.Symlink("/proc/sys/kernel/panic", root+"/etc/hosts") },
		"/etc/hosts is in /dev":  func(root string) error { return os.Symlink("/dev/null", root+"/etc/hosts") },
	} {
		t.Run(name, func(t *testing.T) {
			root := newRoot(t)
			mustDo(t, change(root))
			c, err := New(context.Background(), Config{Root: root, Hosts: []byte("hosts\n")})
			if err == nil {
				c.Kill()
			}
			if errors.Is(err, unix.EPERM) {
				t.Skip("namespaces or mounts are not permitted here: ", err)
			}
			if !errors.Is(err, protocol.KindImage) || protocol.HintOf(err) == "" {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestUnusualMountPoints: what is odd but harmless works.
func TestUnusualMountPoints(t *testing.T) {
	for name, change := range map[string]func(root string) error{
		"no /etc files":      func(string) error { return nil },
		"a dangling link":    func(root string) error { return os.Symlink("../run/deep/er/hosts", root+"/etc/hosts") },
		"a link upwards":     func(root string) error { return os.Symlink("../../../../../hosts", root+"/etc/hosts") },
		"an absolute link":   func(root string) error { return os.Symlink("/tmp/hosts", root+"/etc/hosts") },
		"a FIFO":             func(root string) error { return unix.Mkfifo(root+"/etc/hosts", 0o644) },
		"an image's own dev": func(root string) error { return os.MkdirAll(root+"/dev/pts/x", 0o700) },
		"/etc is a link": func(root string) error {
			return errors.Join(os.Rename(root+"/etc", root+"/conf"), os.Symlink("/../conf", root+"/etc"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := newRoot(t)
			mustDo(t, change(root))
			c := newContainer(t, Config{Root: root, Hosts: []byte("hosts\n")})
			if got := sh(t, c, "cat /etc/hosts; stat -c %a /dev; id -un"); got != "hosts\n755\nroot" {
				t.Errorf("got %q", got)
			}
		})
	}
	// The test's own root is what an escape would have changed.
	for _, name := range []string{"/run/deep", "/hosts", "/tmp/hosts"} {
		if _, err := os.Lstat(name); err == nil {
			t.Errorf("%s was made outside of the container", name)
		}
	}
}

// TestEmptyImage: all that a container needs of its image is the command.
func TestEmptyImage(t *testing.T) {
	root := newRoot(t)
	for _, name := range []string{"etc", "tmp", "home"} {
		mustDo(t, os.RemoveAll(filepath.Join(root, name)))
	}
	c := newContainer(t, Config{Root: root, Hosts: []byte("hosts\n"), Dir: "/work"})
	r := runProcess(t, c, Process{Args: []string{"sh", "-c", "pwd; echo $HOME; cat /etc/hosts; id -u"}, User: "7:8"})
	if r.stdout != "/work\n/\nhosts\n7\n" {
		t.Errorf("got %+v", r)
	}
}

// TestHostileUserFiles: reading the users neither blocks nor takes memory, nor
// opens what isn't the image's.
func TestHostileUserFiles(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"FIFO":        func(path string) error { return unix.Mkfifo(path, 0o666) },
		"folder":      func(path string) error { return os.Mkdir(path, 0o755) },
		"device":      func(path string) error { return os.Symlink("/dev/zero", path) },
		"loop":        func(path string) error { return os.Symlink("passwd", path) },
		"magic link":  func(path string) error { return os.Symlink("/proc/1/exe", path) },
		"thread link": func(path string) error { return os.Symlink("/proc/thread-self/exe", path) },
		"1 GB sparse": func(path string) error {
			return errors.Join(os.WriteFile(path, nil, 0o644), os.Truncate(path, 1<<30))
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := newRoot(t)
			path := filepath.Join(root, "etc/passwd")
			mustDo(t, os.Remove(path))
			mustDo(t, change(path))
			c := newContainer(t, Config{Root: root})
			_, err := c.Spawn(Process{Args: []string{"true"}, User: "ada"})
			unknown := name == "thread link" && errors.Is(err, protocol.KindInvalidArgument)
			if !errors.Is(err, protocol.KindImage) && !unknown || protocol.HintOf(err) == "" {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("link upwards", func(t *testing.T) {
		root := newRoot(t)
		mustDo(t, os.Rename(root+"/etc/passwd", root+"/users"))
		mustDo(t, os.Symlink("../../../../../users", root+"/etc/passwd"))
		c := newContainer(t, Config{Root: root})
		r := runProcess(t, c, Process{Args: []string{"id", "-u"}, User: "ada"})
		if r.stdout != "1000\n" {
			t.Errorf("got %+v", r)
		}
	})
	t.Run("link out", func(t *testing.T) {
		outside := filepath.Join(t.TempDir(), "passwd")
		mustDo(t, os.WriteFile(outside, []byte("ada:x:1:1::/:/bin/sh\n"), 0o644))
		root := newRoot(t)
		mustDo(t, os.Remove(root+"/etc/passwd"))
		mustDo(t, os.Symlink(outside, root+"/etc/passwd"))
		c := newContainer(t, Config{Root: root})
		if _, err := c.Spawn(Process{Args: []string{"true"}, User: "ada"}); !errors.Is(err, protocol.KindInvalidArgument) {
			t.Errorf("got %v", err)
		}
	})
}

// TestHostileDev: root in the container owns /dev and can't use it against the
// agent, which finds terminals and /dev/null without it.
func TestHostileDev(t *testing.T) {
	c := newContainer(t, Config{})
	sh(t, c, "rm /dev/ptmx /dev/null /dev/tty; mkfifo /dev/ptmx /dev/null")
	r := runProcess(t, c, Process{Args: []string{"sh", "-c", "tty; cat /proc/mounts | grep -c devpts"}, TTY: true})
	if r.stdout != "/dev/pts/0\r\n1\r\n" {
		t.Errorf("got %+v", r)
	}
	r = runProcess(t, c, Process{Args: []string{"cat"}})
	if r.status.Code != 0 || r.stdout != "" {
		t.Errorf("got %+v", r)
	}
}

// TestHostileDir: the working directory is looked up in the container.
func TestHostileDir(t *testing.T) {
	outside := t.TempDir()
	root := newRoot(t)
	mustDo(t, os.Symlink(outside, root+"/out"))
	mustDo(t, os.Symlink("../../../../..", root+"/up"))
	c := newContainer(t, Config{Root: root})
	if _, err := c.Spawn(Process{Args: []string{"true"}, Dir: "/out"}); !errors.Is(err, unix.ENOENT) {
		t.Errorf("got %v", err)
	}
	for _, dir := range []string{"/up", "/../../..", "/proc/1/root", "/proc/1/cwd"} {
		r, err := c.Spawn(Process{Args: []string{"ls"}, Dir: dir})
		if strings.HasPrefix(dir, "/proc") {
			if err == nil {
				t.Errorf("%s was entered", dir)
			}
			continue
		}
		mustDo(t, err)
		if got := collect(t, r); !strings.Contains(got.stdout, "up\n") {
			t.Errorf("%s: got %+v", dir, got)
		}
	}
}

// TestHostileRoot: the old ways out of a chroot lead nowhere.
func TestHostileRoot(t *testing.T) {
	c := newContainer(t, Config{})
	sh(t, c, "mkdir /tmp/jail && cp /bin/busybox /tmp/jail/sh && ln -s sh /tmp/jail/ls")
	r := runProcess(t, c, Process{Args: []string{"sh", "-c", "exec 3</; chroot /tmp/jail /sh -c 'cd ../../../../..; ./ls'; ls /../../.."}})
	if !strings.Contains(r.stdout, "bin\n") || strings.Contains(r.stdout, "boot\n") {
		t.Errorf("got %+v", r)
	}
}
