// Package jail confines the processes that hold a running box, so that a guest
// which takes over its virtual machine monitor (VMM), or the shim behind it, has
// won next to nothing.
//
// # Layers
//
// A jail is made of layers. Each holds by itself; most attacks meet several.
//
//	namespaces   user, mount, PID, network, IPC, UTS and cgroup namespaces of its
//	             own; a root that holds the program's own files, read-only
//	landlock     no file, device, TCP port, abstract socket or process but those named
//	seccomp      no system call but those that the role needs
//	cgroup       limits on memory, threads and CPU time
//	rlimits      limits on file size, descriptors, address space, processes
//	privileges   no capability, no way to gain one, a user of its own if root starts it
//
// And always: no environment, no descriptor but those passed on, no terminal.
//
// [Probe] finds out which layers this host can give; [Support.Plan] decides whether
// they are enough, and never silently: [Plan] tells what is missing, and why.
//
// # The VMM's jail
//
// [Plan.Command] starts a program in all layers. The executable that this package is
// part of is started again, under the name [Name], in new namespaces; it calls [Main],
// which builds the other layers around itself and then becomes the program. What
// fails on the way is reported, and nothing runs.
//
// # The shim's jail
//
// The shim sets up sockets and starts the VMM before any byte of the guest has
// reached it. Then it calls [Plan.Seal]: Landlock leaves it its box's folder, seccomp
// what a Go program needs to serve connections that it has; it can start no program
// any more. The namespaces, cgroup and user are its creator's.
//
// # macOS
//
// The VMM runs under sandbox-exec with a generated profile that denies by default;
// see [Profile]. The shim is not confined there yet.
package jail

// Name is what the process is called that enters a jail: argv[0] of an executable
// that is to call [Main].
const Name = "boxlite-jail"
