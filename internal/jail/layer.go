package jail

// Layer is one part of a jail.
type Layer string

// The layers.
const (
	Namespaces Layer = "namespaces"
	Landlock   Layer = "landlock"
	Seccomp    Layer = "seccomp"
	Cgroup     Layer = "cgroup"
	Rlimits    Layer = "rlimits"
	Privileges Layer = "privileges"
	// Sandbox is macOS's.
	Sandbox Layer = "sandbox-exec"
)

// gives says what each layer keeps from a hostile program, for people.
var gives = map[Layer]string{
	Namespaces: "sees no files, processes and networks but its own",
	Landlock:   "opens no files and devices but its own",
	Seccomp:    "makes no system calls but those it needs",
	Cgroup:     "has limits on memory, threads and CPU time",
	Rlimits:    "has limits on file size, descriptors and address space",
	Privileges: "has no capabilities, and can't gain any",
	Sandbox:    "opens no files, sockets and processes but its own",
}

// Gives says what the layer does to the process in it.
func (l Layer) Gives() string { return gives[l] }
