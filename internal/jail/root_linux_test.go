package jail

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFirstLink(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir+"/usr/lib", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("usr/lib", dir+"/lib"); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][2]string{
		dir + "/usr/lib": {"", ""},
		dir + "/lib":     {dir + "/lib", "usr/lib"},
		dir + "/lib/x":   {dir + "/lib", "usr/lib"},
	} {
		link, target, err := firstLink(path)
		if link != want[0] || target != want[1] || err != nil {
			t.Errorf("%s: %q, %q, %v", path, link, target, err)
		}
	}
	if _, _, err := firstLink(dir + "/none"); !os.IsNotExist(err) {
		t.Errorf("got %v", err)
	}
}
