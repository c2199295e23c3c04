package image

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/opencontainers/go-digest"
)

// The test program plays another process that uses the same store, if it is told
// to by this variable.
const roleVariable = "IMAGE_TEST_ROLE"

func TestMain(m *testing.M) {
	role := os.Getenv(roleVariable)
	if role == "" {
		os.Exit(m.Run())
	}
	if err := play(role, os.Args[1], os.Args[2]); err != nil {
		fmt.Printf("kind=%s hint=%s error=%v\n", protocol.KindOf(err), protocol.HintOf(err), err)
		os.Exit(1)
	}
}

func play(role, dir, ref string) error {
	if role == "full" {
		limit := syscall.Rlimit{Cur: 1 << 20, Max: 1 << 20}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			return err
		}
	}
	s, err := Open(dir, Options{Network: quick})
	if err != nil {
		return err
	}
	ctx := contextBackground
	opts := PullOptions{}
	if role == "told" {
		// Say that the work has begun, and wait there until standard input ends.
		opts.Progress = func(p Progress) {
			if p.Phase == "download" && p.Done > 0 && p.Done < p.Total {
				fmt.Println("begun")
				io.Copy(io.Discard, os.Stdin)
			}
		}
	}
	if role != "convert" {
		if _, err := s.Pull(ctx, ref, opts); err != nil {
			return err
		}
	}
	image, err := s.Get(ctx, ref)
	if err != nil {
		return err
	}
	_, err = s.Disk(ctx, image, nil)
	return err
}

// startRole starts a process that uses the store.
func startRole(t *testing.T, role string, s *Store, ref string, stdout io.Writer) (*exec.Cmd, io.WriteCloser) {
	t.Helper()
	c := exec.Command(os.Args[0], s.dir, ref)
	c.Env = append(os.Environ(), roleVariable+"="+role)
	c.Stdout, c.Stderr = stdout, os.Stderr
	stdin, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return c, stdin
}

func TestSeveralProcessesPullOneImageOnce(t *testing.T) {
	p := startProxy(t, startRegistry(t), whole)
	image := imageOf(t, tarOf(t, "a", noise(3<<20)), tarOf(t, "b", noise(2<<20)))
	push(t, image, p.host+"/app")
	s := openStore(t, Options{})
	var outputs [4]bytes.Buffer
	var processes []*exec.Cmd
	for i := range outputs {
		c, _ := startRole(t, "pull", s, p.host+"/app", &outputs[i])
		processes = append(processes, c)
	}
	for i, c := range processes {
		if err := c.Wait(); err != nil {
			t.Errorf("process %d: %v: %s", i, err, &outputs[i])
		}
	}
	id, _ := image.ConfigName()
	for _, digest := range []string{id.String(), layerDigest(t, image, 0), layerDigest(t, image, 1)} {
		if n := len(p.blobs(digest)); n != 1 {
			t.Errorf("%s was fetched %d times", digest, n)
		}
	}
	if disks := files(t, s, disksDir); len(disks) != 1 {
		t.Errorf("there are the disks %q", disks)
	}
	wantClean(t, s)
}

// Who fetches a blob holds its lock: until then, nobody else takes it for damaged.
func TestPullLeavesLockedBlobs(t *testing.T) {
	host := startRegistry(t)
	image := imageOf(t, tarOf(t, "a", "x"))
	push(t, image, host+"/app")
	s := openStore(t, Options{})
	id, _ := image.ConfigName()
	config := digest.Digest(id.String())
	unlock, err := s.lockItem(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.blobPath(config), []byte("half of it"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := s.Pull(ctx, host+"/app", PullOptions{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the pull did not wait: %v", err)
	}
	if _, err := os.Stat(s.blobPath(config)); err != nil {
		t.Error(err)
	}
	unlock()
	mustPull(t, s, host+"/app") // replaces it
}

// A process that is killed while it pulls leaves files that the next one uses or
// removes, but not while it is alive.
func TestKilledPull(t *testing.T) {
	p := startProxy(t, startRegistry(t), whole)
	image := imageOf(t, tarOf(t, "a", noise(8<<20)))
	push(t, image, p.host+"/app")
	s := openStore(t, Options{})
	out, in := io.Pipe()
	c, stdin := startRole(t, "told", s, p.host+"/app", in)
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "begun\n" {
		t.Fatalf("%q, %v", line, err)
	}
	go io.Copy(io.Discard, out)
	// It is alive: nobody takes its files away.
	if _, err := s.Prune(t.Context(), nobody); err != nil {
		t.Error(err)
	}
	if _, err := Open(s.dir, Options{}); err != nil {
		t.Error(err)
	}
	if n := len(files(t, s, tmpDir)); n != 1 {
		t.Errorf("there are %d directories of processes, want 1", n)
	}
	if n := len(files(t, s, partialDir)); n != 1 {
		t.Errorf("there are %d downloads, want 1", n)
	}
	c.Process.Kill()
	c.Wait()
	stdin.Close()

	s, err := Open(s.dir, Options{Network: quick})
	if err != nil {
		t.Fatal(err)
	}
	if names := files(t, s, tmpDir); len(names) > 0 {
		t.Errorf("left behind: %q", names)
	}
	before := len(p.blobs(layerDigest(t, image, 0)))
	got := mustPull(t, s, p.host+"/app")
	if r := p.blobs(layerDigest(t, image, 0))[before:]; len(r) != 1 || !strings.HasPrefix(r[0].Header.Get("Range"), "bytes=") {
		t.Error("the pull did not go on where the other was killed")
	}
	if contentOf(t, s, got, "/a") != noise(8<<20) {
		t.Error("the content is another one")
	}
}

func TestPruneRemovesWhatAKilledPullLeft(t *testing.T) {
	p := startProxy(t, startRegistry(t), func(r *http.Request) int64 { return 100_000 })
	push(t, imageOf(t, tarOf(t, "a", noise(1<<20))), p.host+"/app")
	s := openStore(t, Options{})
	if _, err := s.Pull(t.Context(), p.host+"/app", PullOptions{}); err == nil {
		t.Fatal("the pull succeeded")
	}
	freed, err := s.Prune(t.Context(), nobody)
	if err != nil || freed == 0 {
		t.Errorf("freed %d, %v", freed, err)
	}
	filepath.WalkDir(s.dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() && entry.Name() != lockFile {
			t.Errorf("left behind: %s", path)
		}
		return err
	})
}

// A process that may not write more than 1 MB to a file stands for a full disk.
func TestFullDisk(t *testing.T) {
	host := startRegistry(t)
	push(t, imageOf(t, tarOf(t, "a", noise(4<<20))), host+"/large-layer")
	push(t, imageOf(t, tarOf(t, "a", strings.Repeat("well compressed", 300_000))), host+"/large-disk")
	rootfs := filepath.Join(t.TempDir(), "rootfs.tar")
	if err := os.WriteFile(rootfs, tarOf(t, "a", noise(4<<20)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, ref := range map[string]string{
		"pulling": host + "/large-layer", "converting": host + "/large-disk", "importing": "rootfs:" + rootfs,
	} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, Options{})
			var out bytes.Buffer
			c, _ := startRole(t, "full", s, ref, &out)
			if c.Wait() == nil || !strings.Contains(out.String(), "kind=resource exhausted") || !strings.Contains(out.String(), "free some space") {
				t.Errorf("the process said %q", &out)
			}
			wantClean(t, s)
			if disks := files(t, s, disksDir); len(disks) > 0 {
				t.Errorf("there are the disks %q", disks)
			}
			// When there is room again, all is well.
			contentOf(t, s, mustPull(t, s, ref), "/a")
		})
	}
}
