package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/boxlite-go/boxlite"
)

// statusOf returns some lines of proc's status file.
func statusOf(t *testing.T, pid int) map[string]string {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	status := make(map[string]string)
	for line := range strings.Lines(string(data)) {
		key, value, _ := strings.Cut(line, ":")
		status[key] = strings.Join(strings.Fields(value), " ")
	}
	return status
}

// TestProcessesAreJailed looks at the processes of a box as the kernel sees them.
func TestProcessesAreJailed(t *testing.T) {
	needMachine(t)
	t.Parallel()
	rt := openRuntime(t, boxlite.Options{})
	box := newBox(t, rt, boxlite.BoxSpec{})
	if err := box.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	info, err := box.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	has := func(layer string) bool { return slices.Contains(info.Isolation.Layers, layer) }
	shimPID, vmmPID := processesOf(t, info.HostDir)
	shim, vmm := statusOf(t, shimPID), statusOf(t, vmmPID)
	for what, process := range map[string]map[string]string{"shim": shim, "VMM": vmm} {
		if process["Seccomp"] != "2" || process["NoNewPrivs"] != "1" {
			t.Errorf("%s: seccomp %s, no_new_privs %s", what, process["Seccomp"], process["NoNewPrivs"])
		}
	}
	const none = "0000000000000000"
	for _, set := range []string{"CapPrm", "CapEff", "CapInh", "CapAmb"} {
		if vmm[set] != none {
			t.Errorf("VMM: %s is %s", set, vmm[set])
		}
	}
	root := os.Geteuid() == 0
	if root && vmm["CapBnd"] != none {
		t.Errorf("VMM: CapBnd is %s", vmm["CapBnd"])
	}
	if !root && shim["CapEff"] != none {
		t.Errorf("shim: CapEff is %s", shim["CapEff"])
	}
	if env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", vmmPID)); err == nil && len(env) > 0 {
		t.Errorf("VMM: its environment is %q", env)
	}
	if has("namespaces") {
		for _, name := range []string{"user", "mnt", "pid", "net", "ipc", "uts", "cgroup"} {
			ours, err := os.Readlink("/proc/self/ns/" + name)
			if err != nil {
				t.Fatal(err)
			}
			theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", vmmPID, name))
			if root && (err != nil || theirs == ours) {
				t.Errorf("VMM: its %s namespace is %s, %v", name, theirs, err)
			}
		}
		if root {
			checkRoot(t, vmmPID, info.HostDir)
			if uid := strings.Fields(vmm["Uid"])[0]; uid == "0" && info.Accelerator != "kvm" {
				t.Error("VMM: it runs as root")
			}
		}
	}
	if has("cgroup") {
		groups, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", vmmPID))
		if err != nil || !strings.Contains(string(groups), "boxlite-"+box.ID()) {
			t.Errorf("VMM: its cgroups are %s, %v", groups, err)
		}
	}
}

// checkRoot looks at what the VMM sees of the file system.
func checkRoot(t *testing.T, pid int, boxDir string) {
	t.Helper()
	root := fmt.Sprintf("/proc/%d/root", pid)
	devices, err := os.ReadDir(root + "/dev")
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // our own VMM's root is empty
		t.Fatal(err)
	}
	for _, d := range devices {
		if !slices.Contains([]string{"null", "urandom", "kvm"}, d.Name()) {
			t.Errorf("VMM: it sees /dev/%s", d.Name())
		}
	}
	for _, path := range []string{boxDir, filepath.Dir(boxDir), "/proc/self", "/sys/kernel", "/etc/passwd", "/etc/shadow", "/bin/sh", "/usr/bin/sh", "/root/.ssh"} {
		if _, err := os.Stat(root + path); err == nil {
			t.Errorf("VMM: it sees %s", path)
		}
	}
	if err := os.Mkdir(root+"/made", 0o700); err == nil {
		t.Error("VMM: its root can be written to")
	}
}

// TestOutOfHostMemory takes from a box's virtual machine the memory that it needs.
func TestOutOfHostMemory(t *testing.T) {
	needMachine(t)
	t.Parallel()
	rt := openRuntime(t, boxlite.Options{})
	box := newBox(t, rt, boxlite.BoxSpec{MemoryMiB: 512})
	if err := box.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	info, err := box.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(info.Isolation.Layers, "cgroup") {
		t.Skip("this host gives no cgroup: ", info.Isolation.Missing)
	}
	data, err := os.ReadFile(filepath.Join(info.HostDir, "shim.json"))
	if err != nil {
		t.Fatal(err)
	}
	var record struct {
		Cgroups []string `json:"cgroups"`
	}
	if err := json.Unmarshal(data, &record); err != nil {
		t.Fatal(err)
	}
	limited := false
	for _, dir := range record.Cgroups {
		for limit, usage := range map[string]string{
			"memory.max": "memory.current", "memory.limit_in_bytes": "memory.usage_in_bytes",
		} {
			now, err := os.ReadFile(filepath.Join(dir, usage))
			if err != nil {
				continue
			}
			used, err := strconv.ParseInt(strings.TrimSpace(string(now)), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, limit), fmt.Append(nil, used+16<<20), 0); err != nil {
				t.Fatal(err)
			}
			limited = true
		}
	}
	if !limited {
		t.Fatalf("none of %q limits memory", record.Cgroups)
	}
	_ = box.Command("sh", "-c", "head -c 300m /dev/zero | tail -c 300m").Run(t.Context()) // it does not come back
	exit, err := box.Wait(t.Context())
	if exit.Reason != "host-oom" || !errors.Is(err, boxlite.ErrResourceExhausted) || boxlite.HintOf(err) == "" {
		t.Errorf("got %+v, %v", exit, err)
	}
}
