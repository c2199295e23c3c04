package durable

import (
	"os"
	"path/filepath"
	"testing"
)

func TestReplace(t *testing.T) {
	for name, before := range map[string]func(path string) error{
		"nothing":                 func(string) error { return nil },
		"a file":                  func(path string) error { return os.WriteFile(path, []byte("older and longer"), 0o644) },
		"a folder":                func(path string) error { return os.MkdirAll(filepath.Join(path, "a/b"), 0o700) },
		"what was left unwritten": func(path string) error { return os.WriteFile(path+Suffix, []byte("half of someth"), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "file")
			if err := before(path); err != nil {
				t.Fatal(err)
			}
			if err := Replace(path, []byte("new")); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(path); string(got) != "new" {
				t.Errorf("got %q, %v", got, err)
			}
			if names, err := os.ReadDir(dir); len(names) != 1 {
				t.Errorf("there are %v, %v", names, err)
			}
		})
	}
}

func TestReplaceThatFailsChangesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path+Suffix, 0o700); err != nil { // in the way, for root too
		t.Fatal(err)
	}
	if err := Replace(path, []byte("new")); err == nil {
		t.Error("it succeeded")
	}
	if got, err := os.ReadFile(path); string(got) != "old" {
		t.Errorf("got %q, %v", got, err)
	}
}
