package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// vmmOf returns the process that runs a shim's machine: what the shim, or its jail, has
// started and that has started nothing itself.
func vmmOf(shim int) (int, error) {
	pid := shim
	for {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
		if err != nil {
			return 0, err
		}
		var children []string
		for _, task := range tasks {
			text, err := os.ReadFile(task)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return 0, err
			}
			children = append(children, strings.Fields(string(text))...)
		}
		if len(children) == 0 {
			break
		}
		if len(children) > 1 {
			return 0, fmt.Errorf("process %d has started %d others", pid, len(children))
		}
		if pid, err = strconv.Atoi(children[0]); err != nil {
			return 0, err
		}
	}
	if pid == shim {
		return 0, fmt.Errorf("the shim, process %d, has started nothing", shim)
	}
	return pid, nil
}

// ownMemory adds up what is only a process's, but for a mapping as large as its guest.
// What of that was written to is dirty.
func ownMemory(pid int, guest int64) (private, dirty int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps", pid))
	if err != nil {
		return 0, 0, err
	}
	var size int64
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) != 3 || fields[2] != "kB" {
			continue
		}
		n, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			return 0, 0, err
		}
		n <<= 10
		switch fields[0] {
		case "Size:":
			size = n
		case "Private_Clean:":
			if size != guest {
				private += n
			}
		case "Private_Dirty:":
			if size != guest {
				private, dirty = private+n, dirty+n
			}
		}
	}
	return private, dirty, nil
}

// thread is what the kernel has counted of one.
type thread struct {
	name     string
	isVCPU   bool
	cpu      time.Duration
	switches int64 // of its own will, that is, it has slept and was woken
}

// threads returns the threads of a process by their IDs.
func threads(pid int) (map[int]thread, error) {
	dirs, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil {
		return nil, err
	}
	found := map[int]thread{}
	for _, dir := range dirs {
		id, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			return nil, err
		}
		t, err := readThread(dir)
		if errors.Is(err, os.ErrNotExist) {
			continue // it has ended
		}
		if err != nil {
			return nil, err
		}
		found[id] = t
	}
	return found, nil
}

func readThread(dir string) (t thread, err error) {
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return t, err
	}
	start, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	fields := strings.Fields(string(stat[end+1:]))
	if start < 0 || end < start || len(fields) < 41 {
		return t, fmt.Errorf("%s/stat is %q", dir, stat)
	}
	t.name = string(stat[start+1 : end])
	t.isVCPU = fields[40] != "0" // the time of a guest that it ran
	schedule, err := os.ReadFile(dir + "/schedstat")
	if err != nil {
		return t, err
	}
	if _, err := fmt.Sscan(string(schedule), &t.cpu); err != nil {
		return t, err
	}
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return t, err
	}
	for line := range strings.Lines(string(status)) {
		if n, found := strings.CutPrefix(line, "voluntary_ctxt_switches:"); found {
			t.switches, err = strconv.ParseInt(strings.TrimSpace(n), 10, 64)
			return t, err
		}
	}
	return t, fmt.Errorf("%s/status has no count of switches", dir)
}

// activity is what a process did in some time.
type activity struct{ groups []group }

// group is threads of one kind.
type group struct {
	name     string
	threads  int
	switches float64 // per second
	share    float64 // percent of a core
}

func (a activity) share() (sum float64) {
	for _, g := range a.groups {
		sum += g.share
	}
	return sum
}

func (a activity) String() string { return fmt.Sprintf("%.2f %%", a.share()) }

// compare returns what a process did between two looks at it.
func compare(process string, before, after map[int]thread, took time.Duration) activity {
	groups := map[string]*group{}
	for id, t := range after {
		name := process + ", " + t.name
		if t.isVCPU {
			name = process + ", virtual CPUs"
		}
		g := groups[name]
		if g == nil {
			g = &group{name: name}
			groups[name] = g
		}
		g.threads++
		g.switches += float64(t.switches-before[id].switches) / took.Seconds()
		g.share += 100 * float64(t.cpu-before[id].cpu) / float64(took)
	}
	var a activity
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		a.groups = append(a.groups, *groups[name])
	}
	return a
}
