package secret

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

func TestSealAndUnseal(t *testing.T) {
	home := t.TempDir()
	k, err := Open(home)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := k.Seal([]byte("correct horse"), "box/name")
	if err != nil || strings.Contains(sealed, "correct") {
		t.Fatalf("%q, %v", sealed, err)
	}
	if again, _ := k.Seal([]byte("correct horse"), "box/name"); again == sealed {
		t.Error("the same value is sealed the same twice")
	}
	later, err := Open(home)
	if err != nil {
		t.Fatal(err)
	}
	if value, err := later.Unseal(sealed, "box/name"); err != nil || string(value) != "correct horse" {
		t.Errorf("%q, %v", value, err)
	}
	other, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, try := range map[string]func() ([]byte, error){
		"another place": func() ([]byte, error) { return k.Unseal(sealed, "other/name") },
		"another key":   func() ([]byte, error) { return other.Unseal(sealed, "box/name") },
		"changed":       func() ([]byte, error) { return k.Unseal(sealed[:len(sealed)-2]+"AA", "box/name") },
		"cut":           func() ([]byte, error) { return k.Unseal(sealed[:10], "box/name") },
		"no base64":     func() ([]byte, error) { return k.Unseal("v1:!!!", "box/name") },
		"empty":         func() ([]byte, error) { return k.Unseal("", "box/name") },
	} {
		if value, err := try(); !errors.Is(err, protocol.KindStorage) || value != nil {
			t.Errorf("%s: %q, %v", name, value, err)
		}
	}
}

func TestKeyIsOneAndPrivate(t *testing.T) {
	home := t.TempDir()
	sealed := make([]string, 20)
	var makers sync.WaitGroup
	for i := range sealed {
		makers.Go(func() {
			k, err := Open(home)
			if err != nil {
				t.Error(err)
				return
			}
			sealed[i], _ = k.Seal([]byte("value"), "")
		})
	}
	makers.Wait()
	k, err := Open(home)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sealed {
		if value, err := k.Unseal(s, ""); err != nil || !bytes.Equal(value, []byte("value")) {
			t.Errorf("%q, %v", value, err)
		}
	}
	files, err := os.ReadDir(home)
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	path := filepath.Join(home, fileKey)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(home); !errors.Is(err, protocol.KindConfig) || protocol.HintOf(err) == "" {
		t.Errorf("a key that others may read: %v", err)
	}
	if err := os.WriteFile(path, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(home); !errors.Is(err, protocol.KindStorage) {
		t.Errorf("a damaged key: %v", err)
	}
}
