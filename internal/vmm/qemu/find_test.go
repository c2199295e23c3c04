package qemu

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

func TestInstallHint(t *testing.T) {
	for ids, want := range map[string]string{
		"debian":             "apt-get install qemu-system-x86",
		"linuxmint ubuntu":   "apt-get install qemu-system-x86",
		"rocky rhel centos":  "dnf install",
		"manjaro arch":       "pacman -S",
		"opensuse-leap suse": "zypper install",
		"somethingelse":      "install QEMU's system emulator",
		"":                   "install QEMU's system emulator",
	} {
		if got := installHintFor(strings.Fields(ids)); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", ids, got, want)
		}
	}
}

func TestNoQEMU(t *testing.T) {
	dir := t.TempDir()
	script := func(name, text string, mode fs.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, test := range []struct{ name, program, want, hint string }{
		{"not there", filepath.Join(dir, "nowhere"), "no such file", programVariable + " must name"},
		{"not executable", script("text", "", 0o600), "permission denied", programVariable + " must name"},
		{"no QEMU", script("false", "#!/bin/sh\necho no such machine >&2; exit 1\n", 0o700), "no such machine", programVariable},
		{"silent", script("silent", "#!/bin/sh\n", 0o700), "connection closed", programVariable},
		{
			"too old", script("old", "#!/bin/sh\nexec <&3 >&3\n"+
				`echo '{"QMP": {"version": {"qemu": {"major": 4, "minor": 2, "micro": 1}}}}'`+"\n"+
				`read line; echo '{"return": {}, "id": 1}'; cat > /dev/null`, 0o700),
			"4.2.1 is older than 5.1", programVariable,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv(programVariable, test.program)
			_, err := (&Engine{}).Probe(t.Context())
			if !errors.Is(err, protocol.KindUnsupportedEngine) || !strings.Contains(err.Error(), test.want) ||
				!strings.Contains(protocol.HintOf(err), test.hint) {
				t.Errorf("error %v (%s), want %q (%s)", err, protocol.HintOf(err), test.want, test.hint)
			}
		})
	}
	t.Run("not installed", func(t *testing.T) {
		t.Setenv(programVariable, "")
		t.Setenv("PATH", dir)
		defer func(old []string) { programs = old }(programs)
		programs = programs[:1]
		_, err := (&Engine{}).Probe(t.Context())
		if !errors.Is(err, protocol.KindUnsupportedEngine) || !strings.Contains(protocol.HintOf(err), "install QEMU") {
			t.Errorf("error %v (%s)", err, protocol.HintOf(err))
		}
	})
	t.Run("canceled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := (&Engine{}).Probe(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	})
}
