package kvmlab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// firstEmulator is the first version of QEMU that the lab is emulated with. QEMU 7.2, which
// Debian 12 has, mixes up the states of processor and guest now and then: with four boxes
// at once, one run in three ended with a panic of the lab's kernel, or with a guest that
// went on with its host's registers.
const firstEmulator = 10

// emulator is the QEMU that emulates the lab. If it isn't the host's, firmware and libraries
// are where neither it nor the linker looks.
type emulator struct {
	program  string
	firmware []string
	library  string
}

// What such a QEMU consists of, and what it needs beside what the host's QEMU does.
var (
	emulatorPackages  = []string{"qemu-system-x86", "qemu-system-data", "seabios"}
	emulatorLibraries = []string{"libaio1"}
)

// findEmulator returns the host's QEMU, or if that is too old, the one in dir, after
// downloading it from Debian's backports if there is none. It isn't installed: boxes use
// what their users would.
func findEmulator(ctx context.Context, dir, installed string) (emulator, error) {
	host := emulator{program: installed}
	if version, err := host.version(ctx); err != nil || version >= firstEmulator {
		return host, err
	}
	dir, err := fetched(ctx, filepath.Join(dir, "emulator"), fetchEmulator)
	if err != nil {
		return emulator{}, &protocol.Error{
			Op: "download a newer QEMU for the lab", Err: err, Hint: fmt.Sprintf("install QEMU %d or newer", firstEmulator),
		}
	}
	usr := filepath.Join(dir, "usr")
	e := emulator{
		program:  filepath.Join(usr, "bin", qemuProgram),
		firmware: []string{filepath.Join(usr, "share", "qemu"), filepath.Join(usr, "share", "seabios")},
		library:  filepath.Join(usr, "lib", "x86_64-linux-gnu"),
	}
	if _, err := e.version(ctx); err != nil {
		return emulator{}, &protocol.Error{
			Op: "start the lab's QEMU", Err: err, Hint: fmt.Sprintf("install QEMU %d or newer, or remove %s and try again", firstEmulator, dir),
		}
	}
	return e, nil
}

// command runs the emulator.
func (e emulator) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, e.program)
	for _, folder := range e.firmware {
		cmd.Args = append(cmd.Args, "-L", folder)
	}
	cmd.Args = append(cmd.Args, args...)
	if e.library != "" {
		cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+e.library)
	}
	return cmd
}

var versionLine = regexp.MustCompile(`version (\d+)\.`)

// version asks for the first number of QEMU's version.
func (e emulator) version(ctx context.Context) (int, error) {
	cmd := e.command(ctx, "--version")
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%s: %w: %s", e.program, err, strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return 0, err
	}
	match := versionLine.FindSubmatch(out)
	if match == nil {
		return 0, fmt.Errorf("%s says no version: %.100q", e.program, out)
	}
	return strconv.Atoi(string(match[1]))
}

// fetchEmulator unpacks the newest QEMU of the distribution's backports. apt verifies it, and
// keeps the lists that this needs apart from the host's.
func fetchEmulator(ctx context.Context, dir string) error {
	if err := unpackPackages(ctx, dir, nil, emulatorLibraries...); err != nil {
		return err
	}
	source, suite, err := backports(ctx)
	if err != nil {
		return err
	}
	list, lists := filepath.Join(dir, "sources.list"), filepath.Join(dir, "lists")
	if err := os.WriteFile(list, []byte(source), 0o644); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(lists, "partial"), 0o755); err != nil {
		return err
	}
	options := []string{
		"-o", "Dir::Etc::SourceList=" + list, "-o", "Dir::Etc::SourceParts=/dev/null",
		"-o", "Dir::State::Lists=" + lists, "-o", "Dir::Cache=" + dir,
	}
	update := append([]string{"-qq", "-o", "APT::Sandbox::User=root"}, options...)
	if _, err := output(ctx, dir, "apt-get", append(update, "update")...); err != nil {
		return err
	}
	var names []string
	for _, name := range emulatorPackages {
		names = append(names, name+"/"+suite)
	}
	if err := unpackPackages(ctx, dir, options, names...); err != nil {
		return err
	}
	return os.RemoveAll(lists)
}

// backports returns the line of apt's configuration for what has been built for the
// distribution of the host later, and the name of that suite. The host's own mirror has it.
func backports(ctx context.Context) (source, suite string, err error) {
	release, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return "", "", err
	}
	var codename string
	for line := range strings.Lines(string(release)) {
		if value, ok := strings.CutPrefix(line, "VERSION_CODENAME="); ok {
			codename = strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	targets, err := output(ctx, "", "apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI)", "ShortDesc: Packages", "Origin: Debian")
	if err != nil {
		return "", "", err
	}
	for line := range strings.Lines(targets) {
		if name, mirror, _ := strings.Cut(strings.TrimSpace(line), " "); name == codename && name != "" {
			suite = codename + "-backports"
			return fmt.Sprintf("deb [signed-by=%s] %s %s main\n", debianKeys, mirror, suite), suite, nil
		}
	}
	return "", "", errors.New("the host is no Debian, whose backports have one")
}

// debianKeys verify what comes from Debian's mirrors.
const debianKeys = "/usr/share/keyrings/debian-archive-keyring.gpg"
