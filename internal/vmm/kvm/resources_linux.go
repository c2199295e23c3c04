package kvm

import (
	"cmp"
	"errors"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/boxlite-go/boxlite/internal/vmm"
	"github.com/boxlite-go/boxlite/internal/vmm/child"
	"github.com/boxlite-go/boxlite/internal/vmm/console"
)

// device is KVM's.
const device = "/dev/kvm"

// resources are what a machine is given: what the VMM inherits, as package control has it,
// and our ends.
type resources struct {
	child.Files

	control  *net.UnixConn
	greeting net.Conn
	network  net.Conn // nil without a network card
	output   *os.File // what the guest's console prints
	console  *console.File
}

// openResources opens everything, or nothing.
func openResources(spec vmm.Spec, device string) (_ *resources, err error) {
	r := &resources{}
	defer func() {
		if err != nil {
			r.Close()
		}
	}()
	if r.console, err = r.OpenConsole(spec.Console); err != nil {
		return nil, err
	}
	// The order is that of the descriptors' numbers.
	conn, err := r.Connect(syscall.SOCK_SEQPACKET)
	if err != nil {
		return nil, err
	}
	r.control = conn.(*net.UnixConn) // such are all sockets of this family
	if r.output, err = r.Pipe(); err != nil {
		return nil, err
	}
	if r.greeting, err = r.Connect(syscall.SOCK_STREAM); err != nil {
		return nil, err
	}
	if err := r.openBoot(spec, device); err != nil {
		return nil, err
	}
	if spec.MAC == "" {
		err = r.Open(os.DevNull, os.O_RDONLY)
	} else {
		r.network, err = r.Connect(syscall.SOCK_STREAM)
	}
	if err != nil {
		return nil, err
	}
	for _, d := range spec.Disks {
		file, err := r.OpenDisk(d)
		if err != nil {
			return nil, err
		}
		if err := lockDisk(file, d.ReadOnly); err != nil {
			return nil, &protocol.Error{
				Kind: protocol.KindStorage, Op: "lock disk " + d.Serial, Err: err,
				Hint: "another virtual machine uses this disk: stop it first",
			}
		}
	}
	return r, nil
}

// openBoot opens KVM, and what the machine boots from.
func (r *resources) openBoot(spec vmm.Spec, device string) error {
	if err := r.Open(device, os.O_RDWR); err != nil {
		return &protocol.Error{
			Kind: protocol.KindEngine, Op: "open KVM", Err: err,
			Hint: "it could be used when this host was probed: see boxlite doctor",
		}
	}
	for _, path := range []string{spec.Kernel, spec.Initrd} {
		if err := r.Open(path, os.O_RDONLY); err != nil {
			return &protocol.Error{
				Kind: protocol.KindStorage, Op: "open what the machine boots from", Err: err,
				Hint: "remove the home's init folder: what is in it is unpacked again",
			}
		}
	}
	return nil
}

// lockDisk keeps other machines from a disk that is written, for as long as it is open
// here or in the VMM; those of other engines too, which lock what they use. Those that
// only read hold the first byte, for which QEMU does not care.
func lockDisk(file *os.File, readOnly bool) error {
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: unix.SEEK_SET}
	if readOnly {
		lock.Type, lock.Len = unix.F_RDLCK, 1
	}
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var failure error
	err = raw.Control(func(fd uintptr) { failure = unix.FcntlFlock(fd, unix.F_OFD_SETLK, &lock) })
	if errors.Is(failure, unix.EINVAL) || errors.Is(failure, unix.ENOLCK) || errors.Is(failure, unix.ENOSYS) {
		failure = nil // a file system without locks
	}
	return cmp.Or(err, os.NewSyscallError("fcntl", failure))
}
