package jail

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// cgroupControllers are those that a jail wants. The first two it must have.
var cgroupControllers = []string{"memory", "pids", "cpu"}

// hierarchy is one tree of cgroups: that of version 2, or of some controllers of
// version 1.
type hierarchy struct {
	v2          bool
	controllers []string
	// dir is this process's own cgroup, top the highest that can be seen.
	dir, top string
}

// hierarchies returns the trees that this process is in.
func hierarchies() ([]hierarchy, error) {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	return parseHierarchies(string(own), string(mounts)), nil
}

// parseHierarchies takes the text of proc's files cgroup and mountinfo.
func parseHierarchies(own, mounts string) []hierarchy {
	var found []hierarchy
	for line := range strings.Lines(own) {
		// hierarchy-ID:controllers:path (cgroups(7))
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(fields) != 3 {
			continue
		}
		h := hierarchy{v2: fields[1] == ""}
		if !h.v2 {
			h.controllers = strings.Split(fields[1], ",")
		}
		if h.find(fields[2], mounts) {
			found = append(found, h)
		}
	}
	return found
}

// find looks up where the hierarchy is mounted.
func (h *hierarchy) find(path, mounts string) bool {
	for lines := bufio.NewScanner(strings.NewReader(mounts)); lines.Scan(); {
		// ID parent device root mount-point options ... - type source super-options
		before, after, ok := strings.Cut(lines.Text(), " - ")
		fields, tail := strings.Fields(before), strings.Fields(after)
		if !ok || len(fields) < 5 || len(tail) < 3 {
			continue
		}
		root, point := unescapeMount(fields[3]), unescapeMount(fields[4])
		switch {
		case h.v2 && tail[0] == "cgroup2":
		case !h.v2 && tail[0] == "cgroup" && slices.Contains(strings.Split(tail[2], ","), h.controllers[0]):
		default:
			continue
		}
		below, err := filepath.Rel(root, path)
		if err != nil || strings.HasPrefix(path, "/..") || below == ".." || strings.HasPrefix(below, "../") {
			continue
		}
		h.top, h.dir = point, filepath.Join(point, below)
		return true
	}
	return false
}

// unescapeMount undoes the octal escapes of mountinfo (proc(5)).
func unescapeMount(s string) string {
	for _, c := range []byte{' ', '\t', '\n', '\\'} {
		s = strings.ReplaceAll(s, fmt.Sprintf(`\%03o`, c), string(c))
	}
	return s
}

// cgroupParents finds, for each hierarchy that is needed, a folder in which cgroups
// with limits can be made: this process's own cgroup or the nearest above it, so that
// all limits above hold for boxes too.
func cgroupParents() ([]string, error) {
	all, err := hierarchies()
	if err != nil {
		return nil, err
	}
	var failures []error
	for _, h := range all {
		if !h.v2 {
			continue
		}
		for dir := h.dir; ; dir = filepath.Dir(dir) {
			err := tryCgroup(dir, true, cgroupControllers[:2])
			if err == nil {
				return []string{dir}, nil
			}
			failures = append(failures, err)
			if dir == h.top || dir == "/" {
				break
			}
		}
	}
	var parents []string
	for i, controller := range cgroupControllers {
		at := slices.IndexFunc(all, func(h hierarchy) bool { return slices.Contains(h.controllers, controller) })
		if at < 0 {
			if i < 2 {
				failures = append(failures, fmt.Errorf("no cgroup controller %q is mounted", controller))
			}
			continue
		}
		if slices.Contains(parents, all[at].dir) {
			continue
		}
		if err := tryCgroup(all[at].dir, false, []string{controller}); err == nil {
			parents = append(parents, all[at].dir)
		} else if i < 2 {
			failures = append(failures, err)
		}
	}
	if len(parents) < 2 { // version 1 has a tree for each
		return nil, failures[len(failures)-1] // nearest to what would do
	}
	return parents, nil
}

// tryCgroup makes a cgroup with limits below a folder, and removes it.
func tryCgroup(parent string, v2 bool, controllers []string) error {
	if v2 {
		if err := delegate(parent); err != nil {
			return err
		}
	}
	sweepTries(parent)
	dir := filepath.Join(parent, tryName())
	if err := os.Mkdir(dir, 0o755); err != nil {
		return fmt.Errorf("no cgroup can be made in %s: %w", parent, errors.Unwrap(err))
	}
	set, err := setLimits(dir, Limits{MemoryBytes: 1 << 30, Threads: 64, CPUs: 1})
	for _, c := range controllers {
		if err == nil && !slices.Contains(set, c) {
			err = fmt.Errorf("%s has no controller %q", parent, c)
		}
	}
	return errors.Join(err, os.Remove(dir))
}

// tries counts the cgroups that this process has made only to try.
var tries atomic.Int64

// tryName returns the name of a cgroup that is removed again at once.
func tryName() string { return fmt.Sprintf("%s%d-%d", tryPrefix, os.Getpid(), tries.Add(1)) }

const tryPrefix = cgroupPrefix + "try-"

// sweepTries removes what processes have left that were killed while they tried.
func sweepTries(parent string) {
	left, _ := filepath.Glob(filepath.Join(parent, tryPrefix+"*"))
	for _, dir := range left {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), tryPrefix), "-")
		if _, err := os.Stat("/proc/" + pid); errors.Is(err, fs.ErrNotExist) {
			_ = os.Remove(dir) // or else the next one will
		}
	}
}

// delegate sees to it that children of a cgroup of version 2 have the controllers.
func delegate(parent string) error {
	enabled, err := os.ReadFile(filepath.Join(parent, "cgroup.subtree_control"))
	if err != nil {
		return err
	}
	available, err := os.ReadFile(filepath.Join(parent, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for i, c := range cgroupControllers {
		switch {
		case slices.Contains(strings.Fields(string(enabled)), c):
		case slices.Contains(strings.Fields(string(available)), c):
			err = writeExisting(filepath.Join(parent, "cgroup.subtree_control"), "+"+c)
		default:
			err = fmt.Errorf("%s has no controller %q", parent, c)
		}
		if err != nil && i < 2 {
			return err
		}
	}
	return nil
}

// setLimits writes the limits that a cgroup's folder has files for, of whichever
// version, and returns the controllers.
func setLimits(dir string, l Limits) (set []string, err error) {
	const period = 100_000 // microseconds
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	for _, file := range []struct{ controller, name, value string }{
		{"memory", "memory.max", number(l.MemoryBytes)},
		{"", "memory.swap.max", number(l.MemoryBytes)},
		{"", "memory.oom.group", "1"},
		{"memory", "memory.limit_in_bytes", number(l.MemoryBytes)},
		{"", "memory.memsw.limit_in_bytes", number(2 * l.MemoryBytes)},
		{"pids", "pids.max", number(int64(l.Threads))},
		{"cpu", "cpu.max", fmt.Sprintf("%d %d", int64(l.CPUs)*period, period)},
		{"cpu", "cpu.cfs_quota_us", number(int64(l.CPUs) * period)},
	} {
		if strings.HasPrefix(file.name, "cpu") && l.CPUs == 0 {
			continue
		}
		err := writeExisting(filepath.Join(dir, file.name), file.value)
		switch {
		case errors.Is(err, fs.ErrNotExist): // not this version, or not in this kernel
		case err != nil:
			return set, err
		case file.controller != "":
			set = append(set, file.controller)
		}
	}
	return set, nil
}

// writeExisting writes to a file of a kernel's file system, which makes none.
func writeExisting(path, value string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// cgroupDirs returns the folders of a cgroup.
func cgroupDirs(parents []string, name string) []string {
	dirs := make([]string, 0, len(parents))
	for _, p := range parents {
		dirs = append(dirs, filepath.Join(p, name))
	}
	return dirs
}

// makeCgroups makes a box's cgroup in all hierarchies. One that an earlier run left
// is removed first.
func makeCgroups(dirs []string, l Limits) error {
	var set []string
	for _, dir := range dirs {
		err := os.Mkdir(dir, 0o755)
		if errors.Is(err, fs.ErrExist) {
			if err = RemoveCgroups([]string{dir}); err == nil {
				err = os.Mkdir(dir, 0o755)
			}
		}
		if err != nil {
			return err
		}
		controllers, err := setLimits(dir, l)
		if err != nil {
			return err
		}
		set = append(set, controllers...)
	}
	for _, c := range cgroupControllers[:2] {
		if !slices.Contains(set, c) {
			return fmt.Errorf("%s has no controller %q", strings.Join(dirs, ", "), c)
		}
	}
	return nil
}

// unified opens the folder of a cgroup of version 2, or returns nil.
func unified(dirs []string) *os.File {
	if len(dirs) != 1 {
		return nil // version 1 has a tree for each controller
	}
	f, err := os.OpenFile(dirs[0], unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil // who joins it will say why
	}
	return f
}

// joinCgroups puts the calling thread into a cgroup, with which the program begins.
func joinCgroups(dirs []string) error {
	for _, dir := range dirs {
		// Version 1 lets a thread join alone. For all of a process, the kernel first waits
		// until nobody in the system makes or ends a thread, often for 20 ms and more.
		err := writeExisting(filepath.Join(dir, "tasks"), "0")
		if errors.Is(err, fs.ErrNotExist) {
			err = writeExisting(filepath.Join(dir, "cgroup.procs"), "0")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// removeTimeout is how long killed processes may take to be gone.
const removeTimeout = 5 * time.Second

// RemoveCgroups kills what runs in the cgroup of a box and removes it. That it isn't
// there is no error.
func RemoveCgroups(dirs []string) error {
	var errs []error
	for _, dir := range dirs {
		if !strings.HasPrefix(filepath.Base(dir), cgroupPrefix) {
			continue // never anyone else's
		}
		errs = append(errs, removeCgroup(dir))
	}
	return errors.Join(errs...)
}

func removeCgroup(dir string) error {
	deadline := time.Now().Add(removeTimeout)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		err := os.Remove(dir)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if !errors.Is(err, syscall.EBUSY) || time.Now().After(deadline) {
			return err
		}
		killCgroup(dir)
		<-tick.C // its processes are gone when they are gone; nobody tells of version 1
	}
}

// killCgroup kills what is in a cgroup: what is still there is seen at the removal.
func killCgroup(dir string) {
	if writeExisting(filepath.Join(dir, "cgroup.kill"), "1") == nil {
		return
	}
	procs, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	for pid := range strings.FieldsSeq(string(procs)) {
		if n, err := strconv.Atoi(pid); err == nil && n > 1 {
			_ = unix.Kill(n, unix.SIGKILL)
		}
	}
}

// oomCounter opens the file that counts how often the kernel's out-of-memory killer
// struck in a cgroup; nil if there is none.
func oomCounter(dirs []string) *os.File {
	for _, dir := range dirs {
		for _, name := range []string{"memory.events", "memory.oom_control"} {
			if f, err := os.Open(filepath.Join(dir, name)); err == nil {
				return f
			}
		}
	}
	return nil
}

// oomKills reads such a file.
func oomKills(f *os.File) int {
	data := make([]byte, 4096)
	n, _ := f.ReadAt(data, 0)
	for line := range strings.Lines(string(data[:n])) {
		if count, ok := strings.CutPrefix(line, "oom_kill "); ok {
			kills, _ := strconv.Atoi(strings.TrimSpace(count))
			return kills
		}
	}
	return 0
}
