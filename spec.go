package boxlite

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/boxlite-go/boxlite/internal/assets"
	"github.com/boxlite-go/boxlite/internal/box"
	"github.com/boxlite-go/boxlite/internal/jail"
	"github.com/boxlite-go/boxlite/internal/vmm"
)

// BoxSpec says what box to make. The zero value is a box of the built-in image
// that idles until it is stopped.
type BoxSpec struct {
	// Name is unique in the home: letters, digits, '_', '.' and '-'. A box may
	// have none.
	Name string
	// Image is what the box's files begin as; see the package comment. Empty
	// means "boxlite/base".
	Image string
	// Platform chooses one of an image that is made for several, such as
	// "linux/amd64". Empty means this host's.
	Platform string

	// CPUs is the number of virtual CPUs, up to 64. 0 means 1.
	CPUs int
	// MemoryMiB is the machine's memory, at least 64. 0 means 512.
	MemoryMiB int
	// HugePages asks the host for large pages for that memory, where it has them: fewer
	// misses for programs that use much of it, and memory that comes and goes in pieces of
	// 2 MiB.
	HugePages bool
	// DiskGiB is how large the box's disk can grow, up to 1024. It takes up on
	// the host what is written to it. 0 means 10.
	DiskGiB int

	// Env holds KEY=VALUE pairs that are added to the image's.
	Env []string
	// Dir is the working directory. Empty means the image's.
	Dir string
	// User is who commands run as: name or number, and perhaps a group, as in
	// "app:staff". Empty means the image's.
	User string

	// Entrypoint and Cmd together are the main process. If either is given,
	// Docker's rules hold for the other: a Cmd alone is appended to the image's
	// entrypoint, an Entrypoint alone drops the image's command.
	Entrypoint []string
	Cmd        []string
	// ImageCommand runs the image's own entrypoint and command as the main
	// process if neither is given. Otherwise the box idles.
	ImageCommand bool
	// TTY gives the main process a terminal, Stdin a standard input that
	// [Box.Attach] can write to. Without Stdin it reads from /dev/null.
	TTY   bool
	Stdin bool

	// Network says what the box may reach. The zero value is a network without rules.
	Network Network
	// Ports are ports of the box that can be reached by ports of the host.
	Ports []Port
	// Secrets are put into requests of the box on their way out.
	Secrets []Secret

	// HealthCheck says how to find out whether the box is well. Nil means as its
	// image says, if it does. BoxInfo.Health has what was found; nothing else
	// follows from it.
	HealthCheck *HealthCheck

	// Labels are yours: they mean nothing to BoxLite. [BoxInfo] has them.
	Labels map[string]string
	// Hostname is the container's. Empty means the box's ID.
	Hostname string
	// StopSignal asks the main process to end, as "SIGQUIT". Empty means as the
	// image says, or SIGTERM.
	StopSignal string
	// StopTimeout is how long processes may take to end when the box is stopped.
	// 0 means ten seconds, below 0 no time.
	StopTimeout time.Duration
	// Capabilities says how those of the container differ from Docker's default.
	Capabilities Capabilities

	// AutoStop and AutoDelete are for boxes of a server, which looks after them: how
	// long one may idle before it is stopped, and be stopped before it is deleted.
	// A Runtime refuses them with an error of kind [ErrUnsupported].
	AutoStop, AutoDelete time.Duration
	// NoAutoResume keeps commands from starting the box once it has been stopped:
	// [Box.Start] must do so.
	NoAutoResume bool

	// Detach lets the box run on when the program that started it ends.
	Detach bool
	// AutoRemove deletes the box when it has stopped.
	AutoRemove bool
	// Restart says when the box is started again whose run has ended unasked. It
	// can't be removed then as well.
	Restart RestartPolicy
	// Engine names the engine to use. Empty means Options.Engine.
	Engine string
	// Security is how much of a jail must be around the box's virtual machine. Empty
	// means Options.Security.
	Security Security
}

// Limits and defaults of a box.
const (
	defaultCPUs      = 1
	defaultMemoryMiB = 512
	defaultDiskGiB   = 10
	maxDiskGiB       = 1024
)

// Validate reports what is wrong with the spec, as far as it can be known without
// the image. [Runtime.Create] does so too.
func (s BoxSpec) Validate() error {
	_, err := s.config()
	return err
}

// config checks the spec and fills in the defaults.
func (s BoxSpec) config() (box.Config, error) {
	const op = "create a box"
	if err := errors.Join(
		box.CheckName(s.Name),
		checkRange(op, "CPUs", s.CPUs, 1, vmm.MaxCPUs),
		checkRange(op, "MiB of memory", s.MemoryMiB, vmm.MinMemoryMiB, vmm.MaxMemoryMiB),
		checkRange(op, "GiB of disk", s.DiskGiB, 1, maxDiskGiB),
		checkEnv(op, s.Env),
		checkDir(op, s.Dir),
		checkUser(op, s.User),
		checkArgs(op, s.Entrypoint),
		checkArgs(op, s.Cmd),
		checkText(op, s.Env, s.Entrypoint, s.Cmd, []string{s.Dir, s.User}),
		checkHealthCheck(op, s.HealthCheck),
		checkRestart(op, s),
		checkLabels(op, s.Labels),
		checkHostname(op, s.Hostname),
		checkStopSignal(op, s.StopSignal),
		checkLifetime(op, s),
	); err != nil {
		return box.Config{}, firstOf(err)
	}
	capabilities, err := checkCapabilities(op, s.Capabilities)
	if err != nil {
		return box.Config{}, err
	}
	network, err := s.network(op)
	if err != nil {
		return box.Config{}, err
	}
	ports, err := portsOf(op, s.Ports)
	if err != nil {
		return box.Config{}, err
	}
	if err := checkSecrets(op, s.Secrets); err != nil {
		return box.Config{}, err
	}
	if s.Security != "" {
		if _, err := jail.ParseSecurity(string(s.Security)); err != nil {
			return box.Config{}, err
		}
	}
	if s.Image == "" {
		s.Image = assets.BaseReference
	}
	return box.Config{
		Name: s.Name, Image: s.Image, Platform: s.Platform,
		CPUs:      orDefault(s.CPUs, defaultCPUs),
		MemoryMiB: orDefault(s.MemoryMiB, defaultMemoryMiB), HugePages: s.HugePages,
		DiskBytes: int64(orDefault(s.DiskGiB, defaultDiskGiB)) << 30,
		Env:       s.Env, Dir: s.Dir, User: s.User,
		Entrypoint: s.Entrypoint, Cmd: s.Cmd, ImageCommand: s.ImageCommand,
		Network: network, Ports: ports, // secrets are sealed first
		HealthCheck: s.HealthCheck,
		TTY:         s.TTY, Stdin: s.Stdin, Detach: s.Detach, AutoRemove: s.AutoRemove, Restart: s.Restart, Engine: s.Engine,
		Security: s.Security, Labels: s.Labels, Hostname: s.Hostname,
		StopSignal: s.StopSignal, StopTimeout: s.StopTimeout, Capabilities: capabilities, NoAutoResume: s.NoAutoResume,
	}, nil
}

func orDefault(n, fallback int) int {
	if n == 0 {
		return fallback
	}
	return n
}

// firstOf returns the first of joined errors: one at a time is enough to read.
func firstOf(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()[0]
	}
	return err
}

func checkRange(op, what string, n, least, most int) error {
	if n == 0 || n >= least && n <= most {
		return nil
	}
	return invalid(op, fmt.Sprintf("choose between %d and %d", least, most),
		fmt.Errorf("a box can't have %d %s", n, what))
}

func checkEnv(op string, env []string) error {
	for _, e := range env {
		key, _, found := strings.Cut(e, "=")
		if !found || key == "" || strings.ContainsRune(e, 0) {
			return invalid(op, "write it as KEY=VALUE", fmt.Errorf("%.200q is not an environment variable", e))
		}
	}
	return nil
}

func checkDir(op, dir string) error {
	if dir == "" || path.IsAbs(dir) && !strings.ContainsRune(dir, 0) {
		return nil
	}
	return invalid(op, "give an absolute path, such as /work", fmt.Errorf("%.200q can't be the working directory", dir))
}

func checkUser(op, user string) error {
	if user == "" {
		return nil
	}
	name, group, explicit := strings.Cut(user, ":")
	if name != "" && !(explicit && group == "") && !strings.ContainsAny(name, "\x00\t\n /") && !strings.ContainsAny(group, "\x00\t\n /:") {
		return nil
	}
	return invalid(op, "write it as NAME or NUMBER, or with a group as NAME:GROUP", fmt.Errorf("%.200q is not a user", user))
}

// checkText refuses what the box's record, which is JSON, could not hold.
func checkText(op string, lists ...[]string) error {
	for _, text := range slices.Concat(lists...) {
		if !utf8.ValidString(text) {
			return invalid(op, "pass other bytes to commands that are run in the box", fmt.Errorf("%.200q is not UTF-8", text))
		}
	}
	return nil
}

func checkArgs(op string, args []string) error {
	for _, arg := range args {
		if strings.ContainsRune(arg, 0) {
			return invalid(op, "pass binary data on standard input", fmt.Errorf("the argument %.200q holds a zero byte", arg))
		}
	}
	return nil
}
