package kvmlab

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestEmulator: a QEMU that is new enough is used as it is, and one that isn't one is not.
func TestEmulator(t *testing.T) {
	for said, want := range map[string]string{
		"QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds)": "",
		"QEMU emulator version 11.1.0":                      "",
		"hello":                                             "says no version",
	} {
		program := filepath.Join(t.TempDir(), "qemu")
		if err := os.WriteFile(program, []byte("#!/bin/sh\necho '"+said+"'\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		e, err := findEmulator(t.Context(), t.TempDir(), program)
		if !strings.Contains(errText(err), want) || (err == nil) != (want == "") {
			t.Errorf("%q: error %v, want %q", said, err, want)
		}
		if err == nil && (e.program != program || e.firmware != nil) {
			t.Errorf("%q: %+v", said, e)
		}
	}
}
