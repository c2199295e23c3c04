package jail

import (
	"cmp"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// entry is all that a process which enters a jail has to know.
type entry struct {
	Layers  []Layer  `json:"layers"`
	Cgroups []string `json:"cgroups,omitempty"`
	User    user     `json:"user"`
	Role    Role     `json:"role"`
	// Program and Self are empty if the jail is only tried.
	Program string   `json:"program"`
	Self    string   `json:"self"`
	Args    []string `json:"args"`
	Read    []string `json:"read"`
	Devices []string `json:"devices"`
	Limits  Limits   `json:"limits"`
}

func (e entry) has(l Layer) bool { return Plan{Layers: e.Layers}.Has(l) }

// failure is what such a process reports if it can't.
type failure struct {
	Layer   Layer  `json:"layer"`
	Message string `json:"message"`
}

// maxReport bounds what a process that enters a jail is told, and tells.
const maxReport = 1 << 20

// firstFile is the program's first descriptor after the standard ones.
const firstFile = 3

// Main builds a jail around the calling process, and becomes the program in it. It
// must be called before the process has done anything else, on its main thread. It
// returns an exit code if there is no program to become, or something failed; whoever
// started the process has been told what.
func Main() int {
	// What is set for this thread is what the program gets: execve ends the others.
	runtime.LockOSThread()
	debug.SetGCPercent(-1) // and no new ones are needed
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, Name+" is started by the boxlite package, not by hand")
		return 2
	}
	fd, err := strconv.Atoi(os.Args[1])
	if err != nil || fd < firstFile {
		fmt.Fprintln(os.Stderr, Name+" is started by the boxlite package, not by hand")
		return 2
	}
	unix.CloseOnExec(fd)
	creator := os.NewFile(uintptr(fd), "creator")
	layer, err := enter(creator)
	if err == nil {
		return 0
	}
	_ = json.NewEncoder(creator).Encode(failure{layer, err.Error()})
	return 1
}

// enter reads what is wanted, and builds layer by layer. The error is of the layer
// that is returned with it.
func enter(creator *os.File) (Layer, error) {
	var e entry
	if err := json.NewDecoder(io.LimitReader(creator, maxReport)).Decode(&e); err != nil {
		return "", fmt.Errorf("read what is wanted: %w", err)
	}
	// Nothing is inherited by accident. (Go's runtime needs its own until then.)
	if err := unix.CloseRange(uint(creator.Fd())+1, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC); err != nil && !errors.Is(err, unix.ENOSYS) {
		return "", fmt.Errorf("close descriptors: %w", err)
	}
	if e.has(Cgroup) {
		if err := joinCgroups(e.Cgroups); err != nil {
			return Cgroup, err
		}
	}
	loader := interpreter(e.Program)
	if e.Self != "" {
		// In the new root there is no path to it.
		if err := openProgram(executable); err != nil {
			return "", err
		}
		loader = interpreter(executable)
	}
	if e.has(Namespaces) {
		if err := leaveCgroups(); err != nil {
			return Namespaces, err
		}
		shown := append([]string{e.Program, loader}, e.Read...)
		if err := enterRoot(notEmpty(shown), e.Devices); err != nil {
			return Namespaces, err
		}
	}
	if e.has(Rlimits) {
		if err := limitResources(e.Limits, e.has(Namespaces)); err != nil {
			return Rlimits, err
		}
	}
	if e.has(Privileges) {
		if err := errors.Join(dropBounding(), become(e.User), keepCapabilities(thisThread, 0), forbidGains(thisThread)); err != nil {
			return Privileges, err
		}
	}
	if err := dieWithCreator(creator); err != nil {
		return "", err
	}
	if e.has(Landlock) {
		grants := slices.Concat(
			grantAll(accessRead, e.Read), grantAll(accessDevice, e.Devices),
			grantAll(accessExecute, notEmpty([]string{e.Program, loader})),
		)
		if e.Self != "" {
			grants = append(grants, grant{fd: fdProgram, access: accessExecute})
		}
		if err := restrict(thisThread, grants, limits{}); err != nil {
			return Landlock, err
		}
	}
	return execute(e)
}

// dieWithCreator has the kernel kill this process when the thread that started it
// ends, which a change of user has undone. If that has happened already, its end of
// the connection is closed.
func dieWithCreator(creator *os.File) error {
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("die with the parent: %w", err)
	}
	poll := []unix.PollFd{{Fd: int32(creator.Fd()), Events: unix.POLLRDHUP}}
	if n, err := unix.Poll(poll, 0); err == nil && n > 0 && poll[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0 {
		return errors.New("the parent has ended")
	}
	return nil
}

// execute filters system calls and becomes the program.
func execute(e entry) (Layer, error) {
	if e.Program != "" {
		if err := openProgram(e.Program); err != nil {
			return "", err
		}
	}
	name := cmp.Or(e.Self, e.Program)
	argv, err := syscall.SlicePtrFromStrings(append([]string{name}, e.Args...))
	if err != nil {
		return "", err
	}
	envv := []*byte{nil}
	if e.has(Seccomp) {
		if err := filterCalls(e.Role, os.Getpid()); err != nil {
			return Seccomp, err
		}
	}
	if name == "" {
		return "", nil
	}
	empty := []byte{0}
	_, _, errno := unix.RawSyscall6(unix.SYS_EXECVEAT, fdProgram, uintptr(unsafe.Pointer(&empty[0])),
		uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&envv[0])), unix.AT_EMPTY_PATH, 0)
	return "", fmt.Errorf("execute %s: %w", name, errno)
}

// openProgram opens an executable under the one number that may be executed.
func openProgram(path string) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	if err := unix.Dup3(fd, fdProgram, unix.O_CLOEXEC); err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	_ = unix.Close(fd)
	return nil
}

// interpreter returns the dynamic loader that an executable names, or "".
func interpreter(program string) string {
	f, err := elf.Open(program)
	if err != nil {
		return "" // the kernel will say why it can't be executed
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP && p.Filesz < unix.PathMax {
			path := make([]byte, p.Filesz)
			if _, err := p.ReadAt(path, 0); err == nil {
				return filepath.Clean(strings.TrimRight(string(path), "\x00"))
			}
		}
	}
	return ""
}

func notEmpty(paths []string) []string {
	var kept []string
	for _, p := range paths {
		if p != "" {
			kept = append(kept, p)
		}
	}
	return kept
}
