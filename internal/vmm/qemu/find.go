package qemu

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// programVariable names another QEMU than the one found.
const programVariable = "BOXLITE_QEMU"

// programs are the names under which QEMU is installed. Some distributions keep
// theirs away from $PATH.
var programs = []string{"qemu-system-x86_64", "/usr/libexec/qemu-kvm"}

// findProgram returns the absolute path of QEMU.
func findProgram() (string, error) {
	names, hint := programs, installHint()
	if name := os.Getenv(programVariable); name != "" {
		names, hint = []string{name}, programVariable+" must name an executable QEMU"
	}
	var failures []error
	for _, name := range names {
		path, err := exec.LookPath(name)
		if err == nil {
			return filepath.Abs(path)
		}
		failures = append(failures, err)
	}
	// One that is there but can't be executed says more than one that isn't.
	err := failures[0]
	for _, failure := range failures {
		if !errors.Is(failure, exec.ErrNotFound) && !errors.Is(failure, fs.ErrNotExist) {
			err = failure
		}
	}
	return "", &protocol.Error{Kind: protocol.KindUnsupportedEngine, Op: "look for QEMU", Hint: hint, Err: err}
}

// installHint says how QEMU is installed on this host.
func installHint() string {
	if runtime.GOOS == "darwin" {
		return "install QEMU: brew install qemu"
	}
	f, err := os.Open("/etc/os-release")
	if err != nil {
		return installHintFor(nil)
	}
	defer f.Close()
	var ids []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), "=")
		if key == "ID" || key == "ID_LIKE" {
			ids = append(ids, strings.Fields(strings.Trim(value, `"'`))...)
		}
	}
	return installHintFor(ids)
}

// installHintFor takes the names of a distribution and of those it is like, as
// os-release(5) has them.
func installHintFor(ids []string) string {
	for _, d := range []struct {
		ids     []string
		command string
	}{
		{[]string{"debian", "ubuntu"}, "apt-get install qemu-system-x86"},
		{[]string{"fedora", "rhel", "centos"}, "dnf install qemu-system-x86-core"},
		{[]string{"arch"}, "pacman -S qemu-system-x86"},
		{[]string{"alpine"}, "apk add qemu-system-x86_64"},
		{[]string{"suse", "opensuse"}, "zypper install qemu-x86"},
	} {
		for _, id := range d.ids {
			if slices.Contains(ids, id) {
				return fmt.Sprintf("install QEMU: sudo %s", d.command)
			}
		}
	}
	return "install QEMU's system emulator for x86_64"
}
