package faults

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/boxlite-go/boxlite"
	"github.com/boxlite-go/boxlite/internal/durable"
)

// TestFullDisk lets a box fill the disk that holds the home. The box lives or ends,
// and says which; it can be stopped, and boxes can be removed; whatever else needs
// space says so; and when there is space again all goes on, with all that was
// written.
func TestFullDisk(t *testing.T) {
	home := smallDisk(t, newHome(t), 80)
	rt := openHome(t, home)
	box := getBox(t, rt, "kept")
	spare, err := rt.Create(t.Context(), boxlite.BoxSpec{Name: "spare", MemoryMiB: 128, CPUs: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := write(patience(t), box, "1"); err != nil {
		t.Fatal(err)
	}
	// Room that comes back in the end: the guest alone may leave next to nothing, and
	// its journal needs some before deleting can give any back.
	reserve := filepath.Join(home, "reserve")
	if err := os.WriteFile(reserve, make([]byte, 8<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	fill := box.Command("dd", "if=/dev/zero", "of=/root/large", "bs=1M", "count=100", "conv=fsync")
	out, err := fill.CombinedOutput(patience(t))
	if _, ok := errors.AsType[*boxlite.ExitError](err); !ok || !strings.Contains(string(out), "/root/large") {
		t.Fatalf("more was written than there is space for: %s, %v", out, err)
	}
	ballast := fillUp(t, home)

	info, err := box.Info(t.Context())
	if err != nil || info.Status != atRest(patience(t), t, box, true) {
		t.Errorf("got %s, %v", info.Status, err)
	}
	if err := spare.Start(patience(t)); !errors.Is(err, boxlite.ErrResourceExhausted) || boxlite.HintOf(err) == "" {
		t.Errorf("start another: %v", err)
	}
	if _, err := rt.Create(t.Context(), boxlite.BoxSpec{Name: "more"}); !errors.Is(err, boxlite.ErrResourceExhausted) || boxlite.HintOf(err) == "" {
		t.Errorf("create one: %v", err)
	}
	// It stops, and says that not all is on its disk.
	if err := box.Stop(patience(t)); !errors.Is(err, boxlite.ErrStorage) || !strings.Contains(err.Error(), "not all that was written") {
		t.Errorf("stop: %v", err)
	}
	later := openHome(t, home)
	if info, err := getBox(t, later, "kept").Info(t.Context()); err != nil || info.Status != boxlite.StatusStopped {
		t.Errorf("stopped, it is %s, %v", info.Status, err)
	}
	if err := later.Remove(t.Context(), "spare", false); err != nil {
		t.Errorf("remove: %v", err)
	}
	if _, err := later.Get(t.Context(), "spare"); !errors.Is(err, boxlite.ErrNotFound) {
		t.Errorf("removed, it gives %v", err)
	}

	for _, path := range []string{ballast, reserve} {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := box.Command("sh", "-c", "rm -f /root/large; cat /root/0 /root/1").Output(patience(t)); err != nil || string(out) != "0\n1\n" {
		t.Errorf("got %q, %v", out, err)
	}
	if err := box.Stop(patience(t)); err != nil {
		t.Error(err)
	}
	if got := eventsOf(t, later, "spare"); len(got) < 2 || got[len(got)-1] != boxlite.EventRemoved {
		t.Errorf("recorded of the box that was removed: %q", got)
	}
	runs := map[boxlite.EventType]int{}
	for _, e := range eventsOf(t, later, "kept") {
		runs[e]++
	}
	if runs[boxlite.EventStarted] != 3 || runs[boxlite.EventStopped] != 3 {
		t.Errorf("recorded of the other: %v", runs)
	}
	if err := rt.Close(); err != nil {
		t.Error(err)
	}
	nothingLeft(t, later, home)
}

// smallDisk moves a home to a file system of its own, of some MiB.
func smallDisk(t *testing.T, home string, mebibytes int) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root may mount a file system")
	}
	dir := filepath.Join(filepath.Dir(home), "small")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	image := dir + ".ext4"
	for _, command := range [][]string{
		{"truncate", "-s", strconv.Itoa(mebibytes) + "M", image},
		{"mkfs.ext4", "-q", "-m", "0", image},
		{"mount", "-o", "loop", image, dir},
	} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Skipf("no small file system can be made here: %v: %s", err, out)
		}
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	small := filepath.Join(dir, "home")
	if err := os.Mkdir(filepath.Join(dir, "tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", "-a", home, small).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() {
		rt, err := boxlite.Open(boxlite.Options{Home: small})
		if err != nil {
			t.Error(err)
			return
		}
		removeAll(t, rt)
		if err := rt.Close(); err != nil {
			t.Error(err)
		}
	})
	return small
}

// fillUp takes all space that is left, in a file of its own, which it returns.
func fillUp(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "ballast")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{1 << 20, 4 << 10, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
		if !durable.IsFull(err) {
			t.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	return path
}
