// Package container makes the container of a guest, and starts processes in it.
// It works on Linux only.
//
// [New] makes new mount, PID, IPC, UTS and cgroup namespaces, and mounts in them
// what the OCI runtime specification asks for. [Container.Spawn] starts any number
// of processes at once, the container's main one being no different from others.
// [Container.Kill] ends all.
//
// # How a process is started
//
// The agent is a large program, so it neither forks nor executes itself for a new
// process, which would cost milliseconds on an emulated CPU. One thread of the
// agent makes the container's namespaces and stays in them; from there, processes
// start with clone3(CLONE_VM). Such a process shares the agent's memory until
// execve; it works off a list of system calls in a few lines of assembly: it takes
// its standard input and output, its limits and its user, drops capabilities, and
// executes the command. That gives it its cgroup, namespaces and limits before its
// first instruction, without ptrace, which would disable set-user-ID programs, and
// without stopping a thread of the agent, as vfork would.
//
// The container's init, its PID 1, is started in the same way. What it executes
// is a program of a few instructions that waits for ever: the kernel reaps orphans
// for it.
//
// # Why the container can't reach the agent
//
// The agent is in none of the container's namespaces but that of the network, so
// no process of the container sees it. It sees a new process before execve, when
// that still shares the agent's memory. But the agent is not dumpable, so to look
// at such a process through /proc, ptrace or process_vm_readv takes
// CAP_SYS_PTRACE. That, and other capabilities that lead to the agent or into the
// kernel, nobody in the container can have (protocol.WithheldCapabilities): New
// refuses a Config with them, whoever asks. All files are closed before execve.
package container
