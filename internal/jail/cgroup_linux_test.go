package jail

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
)

func TestParseHierarchies(t *testing.T) {
	for name, test := range map[string]struct {
		own, mounts string
		want        []hierarchy
	}{
		"version 2": {
			"0::/user.slice/user-1000.slice/user@1000.service/app.slice/run.scope\n",
			"30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n",
			[]hierarchy{{
				v2:  true,
				dir: "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice/run.scope", top: "/sys/fs/cgroup",
			}},
		},
		"version 1 beside 2": {
			"5:memory:/a b\n4:cpu,cpuacct:/\n1:name=systemd:/\n0::/\n",
			"1 0 0:1 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n" +
				"2 0 0:2 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n" +
				"3 0 0:3 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
			[]hierarchy{
				{controllers: []string{"memory"}, dir: "/sys/fs/cgroup/memory/a b", top: "/sys/fs/cgroup/memory"},
				{controllers: []string{"cpu", "cpuacct"}, dir: "/sys/fs/cgroup/cpu,cpuacct", top: "/sys/fs/cgroup/cpu,cpuacct"},
				{v2: true, dir: "/sys/fs/cgroup/unified", top: "/sys/fs/cgroup/unified"},
			},
		},
		"a container that sees its own part": {
			"0::/docker/abc/below\n",
			"3 0 0:3 /docker/abc /sys/fs/cgroup\\040x ro - cgroup2 cgroup rw\n",
			[]hierarchy{{v2: true, dir: "/sys/fs/cgroup x/below", top: "/sys/fs/cgroup x"}},
		},
		"a process outside of what is mounted": {
			"0::/../other\n", "3 0 0:3 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n", nil,
		},
		"nonsense": {"x\n1:2\n", "\n- - -\n1 2 3 - x\n", nil},
	} {
		if got := parseHierarchies(test.own, test.mounts); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %+v, want %+v", name, got, test.want)
		}
	}
}

// TestLimitsOfBothVersions writes to folders that look like cgroups.
func TestLimitsOfBothVersions(t *testing.T) {
	limits := Limits{MemoryBytes: 1 << 20, Threads: 7, CPUs: 2}
	for name, files := range map[string]map[string]string{
		"version 2": {
			"memory.max": "1048576", "memory.swap.max": "1048576", "memory.oom.group": "1",
			"pids.max": "7", "cpu.max": "200000 100000",
		},
		"version 1": {
			"memory.limit_in_bytes": "1048576", "memory.memsw.limit_in_bytes": "2097152",
			"pids.max": "7", "cpu.cfs_quota_us": "200000",
		},
	} {
		dir := t.TempDir()
		for file := range files {
			if err := os.WriteFile(filepath.Join(dir, file), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		set, err := setLimits(dir, limits)
		slices.Sort(set)
		if err != nil || !slices.Equal(set, []string{"cpu", "memory", "pids"}) {
			t.Errorf("%s: %v, %v", name, set, err)
		}
		for file, want := range files {
			if got, err := os.ReadFile(filepath.Join(dir, file)); string(got) != want || err != nil {
				t.Errorf("%s: %s is %q, %v; want %q", name, file, got, err, want)
			}
		}
	}
}

func TestOtherCgroupsAreLeftAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "system.slice")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := RemoveCgroups([]string{dir, filepath.Join(t.TempDir(), cgroupPrefix+"gone")}); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Error(err)
	}
}

// TestCgroupIsReplaced: what an earlier run has left does not stand in the way.
func TestCgroupIsReplaced(t *testing.T) {
	parents, err := cgroupParents()
	if err != nil {
		t.Skip("this host gives no cgroup: ", err)
	}
	dirs := cgroupDirs(parents, CgroupName("/boxes/replace"))
	for range 2 {
		if err := makeCgroups(dirs, Limits{MemoryBytes: 1 << 30, Threads: 10}); err != nil {
			t.Fatal(err)
		}
	}
	if err := RemoveCgroups(dirs); err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", dir, err)
		}
	}
}

// TestTriesAreSwept: a process that is killed while it tries leaves nothing for ever.
func TestTriesAreSwept(t *testing.T) {
	parent := t.TempDir()
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(parent, fmt.Sprintf("%s%d-1", tryPrefix, gone.Process.Pid))
	used := filepath.Join(parent, tryName())
	for _, dir := range []string{left, used} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	sweepTries(parent)
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", left, err)
	}
	if _, err := os.Stat(used); err != nil {
		t.Error(err)
	}
}
