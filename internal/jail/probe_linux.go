package jail

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	seccomp "github.com/elastic/go-seccomp-bpf"
)

// probe tries to build a whole jail around nothing, and again without each layer that
// fails.
func probe(ctx context.Context, exe string) (Support, error) {
	if exe == "" {
		exe = executable
	}
	s := Support{Details: make(map[Layer]string)}
	lacks := func(l Layer, err error) {
		s.Missing = append(s.Missing, Missing{Layer: l, Reason: strings.ReplaceAll(err.Error(), "\n", "; "), Hint: hintFor(l, err)})
	}
	s.Layers = []Layer{Privileges, Rlimits}
	if version, err := landlockVersion(); err != nil {
		lacks(Landlock, err)
	} else {
		s.Layers = append(s.Layers, Landlock)
		s.Details[Landlock] = fmt.Sprintf("version %d", version)
	}
	if seccomp.Supported() {
		s.Layers = append(s.Layers, Seccomp)
	} else {
		lacks(Seccomp, errors.New("the kernel does not have it"))
	}
	var err error
	if s.parents, err = cgroupParents(); err != nil {
		lacks(Cgroup, err)
	} else {
		s.Layers = append(s.Layers, Cgroup)
		s.Details[Cgroup] = strings.Join(s.parents, ", ")
	}
	s.Layers = append(s.Layers, Namespaces)
	for len(s.Layers) > 0 {
		err := try(ctx, exe, s)
		if ctx.Err() != nil {
			return Support{}, context.Cause(ctx)
		}
		var failed *layerFailure
		if err == nil {
			break
		}
		if !errors.As(err, &failed) || !slices.Contains(s.Layers, failed.layer) {
			return Support{}, err
		}
		s.Layers = slices.DeleteFunc(s.Layers, func(l Layer) bool { return l == failed.layer })
		lacks(failed.layer, failed.err.Err)
	}
	slices.Sort(s.Layers)
	return s, nil
}

// tryLimit is for one jail, on a busy host: a kernel that does not answer must not stop
// who only asks what there is.
const tryLimit = 30 * time.Second

// try builds a jail with the layers of s.
func try(ctx context.Context, exe string, s Support) error {
	ctx, cancel := context.WithTimeoutCause(ctx, tryLimit, layerError("", fmt.Errorf("it did not come about within %v", tryLimit)))
	defer cancel()
	p := Plan{Layers: s.Layers}
	if p.Has(Cgroup) {
		p.Cgroups = cgroupDirs(s.parents, tryName())
	}
	c, err := p.command(exe, Process{
		Role: RoleQEMU, Read: []string{"/usr/lib"}, Devices: []string{os.DevNull},
		Limits: Limits{MemoryBytes: 1 << 30, FileBytes: 1 << 30, Threads: 128, CPUs: 1},
	})
	if err != nil {
		return err
	}
	runtime.LockOSThread() // the process dies with the thread
	defer runtime.UnlockOSThread()
	if err := c.Start(ctx); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Kill() })
	defer stop()
	return c.Wait()
}

// hintFor says what would give a layer.
func hintFor(l Layer, err error) string {
	switch l {
	case Namespaces:
		return hintNamespaces()
	case Landlock:
		return "use a kernel with Landlock, 5.13 or newer, and \"landlock\" in its list of security modules (lsm=)"
	case Seccomp:
		return "use a kernel with CONFIG_SECCOMP_FILTER"
	case Cgroup:
		if os.Geteuid() != 0 {
			return "start the program in a cgroup of your own: systemd-run --user --scope -p Delegate=yes PROGRAM"
		}
		return "let the program write to its cgroup; in a container, mount /sys/fs/cgroup read-write"
	}
	return ""
}

// hintNamespaces looks for the setting that forbids user namespaces.
func hintNamespaces() string {
	for _, setting := range []struct{ file, bad, hint string }{
		{
			"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1",
			"allow user namespaces: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0, or give the program an AppArmor profile with \"userns,\"",
		},
		{"/proc/sys/kernel/unprivileged_userns_clone", "0", "allow user namespaces: sudo sysctl kernel.unprivileged_userns_clone=1"},
		{"/proc/sys/user/max_user_namespaces", "0", "allow user namespaces: sudo sysctl user.max_user_namespaces=10000"},
	} {
		value, err := os.ReadFile(setting.file)
		if err == nil && strings.TrimSpace(string(value)) == setting.bad {
			return setting.hint
		}
	}
	return "allow user namespaces; in a container, that takes a seccomp profile that has unshare and mount, or --privileged"
}
