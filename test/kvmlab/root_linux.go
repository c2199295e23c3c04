package kvmlab

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

const (
	// qemuProgram emulates the lab, and runs guests in it.
	qemuProgram = "qemu-system-x86_64"
	// rootVersion changes when writeRoot does.
	rootVersion = "1"
	// rootBytes is the size of the lab's disk, which jobs share with nobody.
	rootBytes = 8 << 30
)

// tools are the paths of the programs of which the lab is made.
type tools struct{ qemu, busybox, mke2fs string }

// findTools says what to install if something is missing.
func findTools() (tools, error) {
	var t tools
	var missing []string
	for _, tool := range []struct {
		path          *string
		name, debian  string
		mustNotDepend bool
	}{
		{&t.qemu, qemuProgram, "qemu-system-x86", false},
		{&t.busybox, "busybox", "busybox-static", true},
		{&t.mke2fs, "mke2fs", "e2fsprogs", false},
	} {
		*tool.path = find(tool.name)
		if *tool.path == "" || tool.mustNotDepend && !isStatic(*tool.path) {
			missing = append(missing, tool.debian)
		}
	}
	if missing != nil {
		list := strings.Join(missing, " ")
		return t, &protocol.Error{
			Op: "make the lab", Hint: "sudo apt-get install " + list,
			Err: errors.New("these Debian packages are missing: " + list),
		}
	}
	for _, name := range []string{"apt-get", "dpkg-deb"} {
		if find(name) == "" {
			return t, fmt.Errorf("the lab needs Debian or a relative of it: there is no %s", name)
		}
	}
	return t, nil
}

// find returns the path of a program, or "". Users may not have root's programs
// in their path.
func find(name string) string {
	for _, name := range []string{name, "/usr/sbin/" + name, "/sbin/" + name} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

func isStatic(path string) bool {
	f, err := elf.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return !slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
}

// testTools are programs that tests call, if the host has them: GNU's where busybox's can do
// less.
var testTools = []string{"strace", "grep", "find", "umoci", "skopeo"}

// rootFiles are the lab's programs: paths here by names there. QEMU is one of
// them, for boxes with guests in the lab.
func rootFiles(t tools) (map[string]string, error) {
	files := map[string]string{"usr/bin/busybox": t.busybox}
	programs := []string{t.qemu}
	for _, name := range testTools {
		programs = append(programs, find(name))
	}
	for _, program := range programs {
		if program == "" {
			continue
		}
		files["usr/bin/"+filepath.Base(program)] = program
		if isStatic(program) {
			continue
		}
		libraries, err := exec.Command("ldd", program).Output()
		if err != nil {
			return nil, fmt.Errorf("ldd %s: %w", program, err)
		}
		for word := range strings.FieldsSeq(string(libraries)) {
			if strings.HasPrefix(word, "/") {
				// /lib is a link to /usr/lib there, as it is on today's Debian.
				files["usr/"+strings.TrimPrefix(strings.TrimPrefix(word, "/"), "usr/")] = word
			}
		}
	}
	for _, pattern := range []string{"/usr/share/qemu/*.bin", "/usr/share/qemu/*.rom", "/usr/share/seabios/*.bin", "/etc/containers/*.json"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			files[path[1:]] = path
		}
	}
	return files, nil
}

func sortedNames(files map[string]string) []string { return slices.Sorted(maps.Keys(files)) }

// writeRoot writes the root file system.
func writeRoot(ctx context.Context, path string, t tools, contents map[string]string) error {
	dir := path + ".d"
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{
		"dev", "proc", "sys", "run", "root", "lab", "mnt", "etc", "usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "var/tmp", "tmp",
	} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			return err
		}
	}
	for name, from := range contents {
		if err := copyTree(filepath.Join(dir, name), from); err != nil {
			return err
		}
	}
	if err := writeSmallFiles(ctx, dir, t.busybox); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(rootBytes), f.Close()); err != nil {
		return err
	}
	mke2fs := exec.CommandContext(ctx, t.mke2fs, "-q", "-t", "ext4", "-E", "root_owner=0:0", "-d", dir, path)
	if uid := os.Geteuid(); uid != 0 {
		// What is ours here is root's there.
		mke2fs.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
		}
	}
	if out, err := mke2fs.CombinedOutput(); err != nil {
		return fmt.Errorf("mke2fs: %w: %s", err, out)
	}
	return nil
}

// writeSmallFiles writes what no package brings.
func writeSmallFiles(ctx context.Context, dir, busybox string) error {
	links := map[string]string{"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"}
	applets, err := output(ctx, "", busybox, "--list")
	if err != nil {
		return err
	}
	for name := range strings.FieldsSeq(applets) {
		links["usr/bin/"+name] = "busybox"
	}
	for name, target := range links {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	for name, content := range map[string]string{
		"init":       string(initScript),
		"etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
		"etc/group":  "root:x:0:\nkvm:x:104:\nnogroup:x:65534:\n",
		"etc/hosts":  "127.0.0.1 localhost lab\n::1 localhost\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o755); err != nil {
			return err
		}
	}
	for _, name := range []string{"tmp", "var/tmp"} {
		if err := os.Chmod(filepath.Join(dir, name), 0o777|fs.ModeSticky); err != nil {
			return err
		}
	}
	return nil
}
