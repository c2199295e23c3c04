// Package leak counts what is left of boxes that have ended.
package leak

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/boxlite-go/boxlite/internal/jail"
)

// Place is where boxes were.
type Place struct {
	// Home is the home folder, or one box's folder.
	Home string
	// Tmp is a folder for temporary files that nobody else uses; empty if there is
	// none.
	Tmp string
	// Boxes are the IDs of boxes that have ended.
	Boxes []string
}

// poll is how often what is ending is looked at.
const poll = 20 * time.Millisecond

// Processes waits until no process of the place but this one is left, nor what the
// kernel keeps for one, and returns what is left when ctx ends before that.
func (p Place) Processes(ctx context.Context) ([]string, error) { return wait(ctx, p.processes) }

// All is Processes that also counts what processes leave in folders, and what this
// one has open.
func (p Place) All(ctx context.Context) ([]string, error) {
	return wait(ctx, func() ([]string, error) {
		running, err := p.processes()
		if err != nil {
			return nil, err
		}
		files, err := p.files()
		if p.hasOpen(os.Getpid()) {
			files = append(files, "this process has files open")
		}
		return append(running, files...), err
	})
}

func wait(ctx context.Context, count func() ([]string, error)) ([]string, error) {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		left, err := count()
		if err != nil || len(left) == 0 {
			return nil, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return left, nil
		}
	}
}

// processes counts processes, mounts, listening sockets and cgroups.
func (p Place) processes() ([]string, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("nothing can be counted here: %w", err)
	}
	var left []string
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && pid != os.Getpid() && p.uses(pid) {
			command, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
			left = append(left, fmt.Sprintf("process %d: %.100q", pid, command))
		}
	}
	for _, file := range []string{"/proc/self/mountinfo", "/proc/net/unix"} {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(content)) {
			if strings.Contains(line, p.Home+"/") {
				left = append(left, file+": "+strings.TrimSpace(line))
			}
		}
	}
	return append(left, p.cgroups()...), nil
}

// uses reports whether a process has to do with the home.
func (p Place) uses(pid int) bool {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	for _, name := range []string{"cmdline", "environ", "maps"} {
		if content, _ := os.ReadFile(filepath.Join(dir, name)); bytes.Contains(content, []byte(p.Home)) {
			return true
		}
	}
	return p.leadsHere(dir, "cwd", "root", "exe") || p.hasOpen(pid)
}

// hasOpen reports whether a process has files of the home open.
func (p Place) hasOpen(pid int) bool {
	dir := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	files, _ := os.ReadDir(dir) // another user's is closed to us
	return slices.ContainsFunc(files, func(f fs.DirEntry) bool { return p.leadsHere(dir, f.Name()) })
}

// leadsHere reports whether one of the links in dir leads into the home.
func (p Place) leadsHere(dir string, links ...string) bool {
	return slices.ContainsFunc(links, func(link string) bool {
		target, _ := os.Readlink(filepath.Join(dir, link))
		return target == p.Home || strings.HasPrefix(target, p.Home+"/")
	})
}

// maxCgroups bounds the walk through the host's cgroups.
const maxCgroups = 20_000

func (p Place) cgroups() (left []string) {
	seen := 0
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return nil // one may go while we look
		}
		if seen++; seen > maxCgroups {
			return fs.SkipAll
		}
		if p.isCgroup(e.Name()) {
			left = append(left, "cgroup "+path)
		}
		return nil
	})
	return left
}

// temporary is what files are called while they are written, or deleted.
var temporary = regexp.MustCompile(`\.new$|^\.(new|gone)-|^\..*[0-9]{4,}$`)

// unfinished are the folders of a home whose files are all unfinished.
var unfinished = []string{"images/tmp", "images/locks", "images/blobs/partial"}

// files counts sockets and temporary files.
func (p Place) files() (left []string, err error) {
	err = filepath.WalkDir(p.Home, func(path string, e fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil {
			return err
		}
		folder, _ := filepath.Rel(p.Home, filepath.Dir(path))
		switch {
		case e.Type()&fs.ModeSocket != 0:
			left = append(left, "socket "+path)
		case temporary.MatchString(e.Name()), slices.Contains(unfinished, folder):
			left = append(left, "temporary file "+path)
		}
		return nil
	})
	if err != nil || p.Tmp == "" {
		return left, err
	}
	entries, err := os.ReadDir(p.Tmp)
	for _, e := range entries {
		left = append(left, "temporary file "+filepath.Join(p.Tmp, e.Name()))
	}
	return left, err
}

// isCgroup reports whether a cgroup has the name of one of the place's boxes.
func (p Place) isCgroup(name string) bool {
	return slices.ContainsFunc(p.Boxes, func(id string) bool {
		return name == jail.CgroupName(filepath.Join(p.Home, "boxes", id)) || name == jail.CgroupName(p.Home)
	})
}
