// Package container makes the container of a guest, and starts processes in it.
// It works on Linux only.
//
// [New] starts the container's init: the agent's own executable under the name
// [InitName], in new mount, PID, IPC, UTS and cgroup namespaces. Init mounts what
// the OCI runtime specification asks for, reports, and then only waits. The
// kernel reaps orphans for it. [Container.Spawn] starts any number of processes at once,
// the container's main one being no different from others. [Container.Kill] ends all.
//
// # How a process is started
//
// The agent is a large program, so it neither forks nor executes itself for a
// new process, which costs milliseconds on an emulated CPU. One thread of the
// agent enters the container's namespaces and starts processes there with
// clone3(CLONE_VM). Such a process shares the agent's memory until execve; it works off a
// list of system calls in a few lines of assembly: it takes its standard input
// and output, its limits and its user, drops capabilities, and executes the command.
// That gives it its cgroup, namespaces and limits before its first instruction,
// without ptrace, which would disable set-user-ID programs, and without stopping a
// thread of the agent, as vfork would.
//
// # Why the container can't reach the agent
//
// The agent is in none of the container's namespaces but that of the network, so no process of the container
// sees it. It sees a new process before execve, when that still shares the
// agent's memory. But the agent is not dumpable, so to look at such a process or at
// init through /proc, ptrace or process_vm_readv takes CAP_SYS_PTRACE, which is
// not among the capabilities that anyone in the container can have. All files are
// closed before execve.
package container
