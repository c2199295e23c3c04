package main

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/boxlite-go/boxlite"
)

// processFlags are those of run, create and exec.
type processFlags struct {
	env, envFiles []string
	dir, user     string
	tty, stdin    bool
}

func (f *processFlags) define(c *cobra.Command) {
	flags := c.Flags()
	flags.StringArrayVarP(&f.env, "env", "e", nil, "set the environment variable `KEY=VALUE`; a bare KEY is taken from the environment here")
	flags.StringArrayVar(&f.envFiles, "env-file", nil, "set the environment variables in `FILE`, a KEY=VALUE on each line")
	flags.StringVarP(&f.dir, "workdir", "w", "", "run the command in `DIR`")
	flags.StringVarP(&f.user, "user", "u", "", "run the command as `NAME|UID[:GROUP|GID]`")
	flags.BoolVarP(&f.tty, "tty", "t", false, "run the command on a terminal")
	flags.BoolVarP(&f.stdin, "interactive", "i", false, "pass standard input on to the command")
}

// environment returns the variables of --env-file and --env.
func (f *processFlags) environment() ([]string, error) {
	var env []string
	for _, path := range f.envFiles {
		fromFile, err := readEnvFile(path)
		if err != nil {
			return nil, err
		}
		env = append(env, fromFile...)
	}
	for _, e := range f.env {
		resolved, ok, err := resolveEnv(e)
		if err != nil {
			return nil, usagef("--env: %w", err)
		}
		if ok {
			env = append(env, resolved)
		}
	}
	return env, nil
}

// resolveEnv gives a bare KEY the value that it has here. It reports false for
// one that has none.
func resolveEnv(e string) (string, bool, error) {
	key, _, found := strings.Cut(e, "=")
	if key == "" || strings.ContainsAny(key, " \t") {
		return "", false, fmt.Errorf("%q is not KEY or KEY=VALUE", e)
	}
	if found {
		return e, true, nil
	}
	value, ok := os.LookupEnv(key)
	return key + "=" + value, ok, nil
}

// readEnvFile reads a file of variables. Empty lines and those that begin with #
// don't count.
func readEnvFile(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, usagef("--env-file: %w", err)
	}
	defer f.Close()
	var env []string
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimLeft(lines.Text(), " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		resolved, ok, err := resolveEnv(line)
		if err != nil {
			return nil, usagef("--env-file: %s, line %d: %w", path, number, err)
		}
		if ok {
			env = append(env, resolved)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, usagef("--env-file: %s: %w", path, err)
	}
	return env, nil
}

// boxFlags are those of run and create.
type boxFlags struct {
	processFlags
	managementFlags
	networkFlags
	name       string
	cpus       int
	memory     sizeFlag
	hugePages  bool
	disk       sizeFlag
	entrypoint string
	autoRemove bool
	restart    string
	health     healthFlags
	platform   string
	pull       string
	engine     string
	rootfs     string
	quiet      bool
	detachKeys string
}

func (f *boxFlags) define(c *cobra.Command) {
	f.processFlags.define(c)
	f.managementFlags.define(c)
	f.networkFlags.define(c)
	f.memory, f.disk = sizeFlag{unit: 1 << 20}, sizeFlag{unit: 1 << 30}
	flags := c.Flags()
	flags.SetInterspersed(false) // what follows IMAGE is the command's
	flags.StringVar(&f.name, "name", "", "name of the box")
	flags.IntVar(&f.cpus, "cpus", 0, "number of virtual CPUs (default 1)")
	flags.BoolVar(&f.hugePages, "huge-pages", false, "ask this host for large pages for the machine's memory")
	flags.Var(&f.memory, "memory", "memory of the machine in MiB, or as 512m, 2g (default 512)")
	flags.Var(&f.disk, "disk-size", "how large the box's disk can grow, in GB (default 10)")
	flags.StringVar(&f.entrypoint, "entrypoint", "", "run `COMMAND` instead of the image's entrypoint")
	flags.BoolVar(&f.autoRemove, "rm", false, "remove the box when it has stopped")
	flags.StringVar(&f.restart, "restart", "no", "start the box again after `EVENT`: no, on-failure[:N] or always; as long as the program that started it runs")
	f.health.define(c)
	flags.StringVar(&f.platform, "platform", "", "use the image for this platform, such as linux/amd64")
	flags.StringVar(&f.pull, "pull", "missing", "fetch the image: missing, always or never")
	flags.StringVar(&f.engine, "engine", "", "engine that runs the machine (default the best that works here)")
	flags.StringVar(&f.rootfs, "rootfs", "", "instead of IMAGE: a root file system, or an OCI layout, in the folder or tar file `PATH`")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "don't show how far the fetching of the image is")
	_ = c.RegisterFlagCompletionFunc("restart", cobra.FixedCompletions([]string{"no", "on-failure", "always"}, cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("pull", cobra.FixedCompletions([]string{"missing", "always", "never"}, cobra.ShellCompDirectiveNoFileComp))
}

// registryFlag adds --registry to a command that fetches images.
func (a *app) registryFlag(c *cobra.Command) {
	c.Flags().StringArrayVar(&a.registries, "registry", nil, "ask the registry `HOST` for an image whose name says none, before those of the configuration; may be repeated (default docker.io)")
}

// imageArgument checks that there is an image, by argument or by --rootfs.
func (f *boxFlags) imageArgument(c *cobra.Command, args []string) error {
	if c.Flags().Changed("rootfs") {
		return nil
	}
	return cobra.MinimumNArgs(1)(c, args)
}

// image splits the arguments into image and command.
func (f *boxFlags) image(args []string) (image string, command []string) {
	if f.rootfs == "" {
		return args[0], args[1:]
	}
	if _, err := os.Stat(filepath.Join(f.rootfs, "oci-layout")); err == nil {
		return "oci:" + f.rootfs, args
	}
	return "rootfs:" + f.rootfs, args
}

// spec returns the box that the flags and arguments describe.
func (f *boxFlags) spec(c *cobra.Command, args []string) (boxlite.BoxSpec, error) {
	if f.rootfs == "" && c.Flags().Changed("rootfs") {
		return boxlite.BoxSpec{}, usagef("--rootfs needs a folder or a file")
	}
	image, command := f.image(args)
	env, err := f.environment()
	if err != nil {
		return boxlite.BoxSpec{}, err
	}
	s := boxlite.BoxSpec{
		Name: f.name, Image: image, Platform: f.platform,
		CPUs: f.cpus, MemoryMiB: f.memory.units, HugePages: f.hugePages, DiskGiB: f.disk.units,
		Env: env, Dir: f.dir, User: f.user, TTY: f.tty, Stdin: f.stdin,
		ImageCommand: true, AutoRemove: f.autoRemove, Engine: f.engine,
	}
	if err := f.managementFlags.apply(c, &s); err != nil {
		return s, err
	}
	if err := f.networkFlags.apply(c, &s); err != nil {
		return s, err
	}
	// Zero means the default to BoxSpec, and nonsense on a command line.
	for flag, n := range map[string]int{"cpus": f.cpus, "memory": f.memory.units, "disk-size": f.disk.units} {
		if c.Flags().Changed(flag) && n <= 0 {
			return s, usagef("--%s must be more than 0", flag)
		}
	}
	if s.Restart, err = boxlite.ParseRestartPolicy(f.restart); err != nil {
		return s, usagef("--restart: %w", err)
	}
	if s.HealthCheck, err = f.health.check(c); err != nil {
		return s, err
	}
	if c.Flags().Changed("entrypoint") {
		s.Entrypoint = []string{f.entrypoint}
	}
	if len(command) > 0 {
		s.Cmd = command
	}
	return s, nil
}

// sizeFlag is a size in units of so many bytes, which may also be given with a
// unit of its own.
type sizeFlag struct {
	unit  int64
	units int
	text  string
}

var sizeUnits = map[string]int64{
	"b": 1, "k": 1 << 10, "kb": 1 << 10, "kib": 1 << 10, "m": 1 << 20, "mb": 1 << 20, "mib": 1 << 20,
	"g": 1 << 30, "gb": 1 << 30, "gib": 1 << 30, "t": 1 << 40, "tb": 1 << 40, "tib": 1 << 40,
}

// Set parses a size. What is not a multiple of the unit is rounded up.
func (s *sizeFlag) Set(text string) error {
	lower := strings.ToLower(strings.TrimSpace(text))
	digits := strings.TrimRight(lower, "bkmgti")
	unit := s.unit
	if suffix := lower[len(digits):]; suffix != "" {
		var ok bool
		if unit, ok = sizeUnits[suffix]; !ok {
			return fmt.Errorf("%q has no unit that is known: use m or g", text)
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 {
		return fmt.Errorf("%q is not a size: use a number, as 512, 512m or 2g", text)
	}
	if n > (math.MaxInt64-s.unit)/unit {
		return fmt.Errorf("%q is too large", text)
	}
	s.units = int((n*unit + s.unit - 1) / s.unit)
	s.text = text
	return nil
}

func (s *sizeFlag) String() string { return s.text }

// Type is what help shows.
func (s *sizeFlag) Type() string { return "SIZE" }
