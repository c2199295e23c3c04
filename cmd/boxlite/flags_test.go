package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestSizes(t *testing.T) {
	for _, c := range []struct {
		text string
		unit int64
		want int
	}{
		{"512", 1 << 20, 512},
		{"512m", 1 << 20, 512},
		{"512M", 1 << 20, 512},
		{"512MiB", 1 << 20, 512},
		{"2g", 1 << 20, 2048},
		{"2GB", 1 << 20, 2048},
		{"1k", 1 << 20, 1},
		{"1048577b", 1 << 20, 2},
		{"10", 1 << 30, 10},
		{"1t", 1 << 30, 1024},
		{"100m", 1 << 30, 1},
		{" 3 ", 1 << 30, 3},
		{"0", 1 << 20, 0},
	} {
		s := sizeFlag{unit: c.unit}
		if err := s.Set(c.text); err != nil || s.units != c.want {
			t.Errorf("%q: got %d, %v; want %d", c.text, s.units, err, c.want)
		}
	}
	for _, text := range []string{"", "m", "-1", "1.5g", "1x", "1gm", "1 g", "9223372036854775807", "9999999999t", "0x10"} {
		s := sizeFlag{unit: 1 << 20}
		if err := s.Set(text); err == nil {
			t.Errorf("%q: got %d", text, s.units)
		}
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("BOXLITE_TEST_SET", "here")
	path := filepath.Join(t.TempDir(), "vars")
	if err := os.WriteFile(path, []byte("# comment\n\nA=file\n  B= two words \nBOXLITE_TEST_SET\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := processFlags{env: []string{"A=flag", "BOXLITE_TEST_SET", "BOXLITE_TEST_UNSET", "C="}, envFiles: []string{path}}
	got, err := f.environment()
	want := []string{"A=file", "B= two words ", "BOXLITE_TEST_SET=here", "A=flag", "BOXLITE_TEST_SET=here", "C="}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	for _, e := range []string{"", "=x", "A B=c"} {
		if _, err := (&processFlags{env: []string{e}}).environment(); err == nil {
			t.Errorf("%q is taken", e)
		}
	}
}
