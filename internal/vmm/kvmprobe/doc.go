// Package kvmprobe finds out whether an ordinary guest really runs on /dev/kvm.
//
// There are hosts where /dev/kvm can be opened and makes virtual machines on
// which no ordinary kernel runs: clouds that nest virtual machines without the
// processor's help, for example. Therefore [Probe] runs a guest. It is tiny
// (guest.S), but does once what a kernel does all the time: it sets up page
// tables, enters long mode, handles an exception, a page fault and an interrupt,
// talks to devices, enters user mode and comes back by a system call.
//
//go:generate ./generate.sh
package kvmprobe
