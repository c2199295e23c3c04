package qemu

import (
	"net"
	"os"
	"syscall"

	"github.com/boxlite-go/boxlite/internal/vmm"
	"github.com/boxlite-go/boxlite/internal/vmm/child"
	"github.com/boxlite-go/boxlite/internal/vmm/console"
)

// resources are what a machine is given: what QEMU inherits, which is control, portal,
// console, perhaps network, then the disks; and our ends.
type resources struct {
	child.Files

	control, portal net.Conn
	network         net.Conn // nil without a network card
	output          *os.File // what the guest's console prints
	console         *console.File
}

// openResources opens everything, or nothing.
func openResources(spec vmm.Spec) (_ *resources, err error) {
	r := &resources{}
	defer func() {
		if err != nil {
			r.Close()
		}
	}()
	if r.control, err = r.Connect(syscall.SOCK_STREAM); err != nil {
		return nil, err
	}
	if r.portal, err = r.Connect(syscall.SOCK_STREAM); err != nil {
		return nil, err
	}
	if r.console, err = r.OpenConsole(spec.Console); err != nil {
		return nil, err
	}
	if r.output, err = r.Pipe(); err != nil {
		return nil, err
	}
	if spec.MAC != "" {
		if r.network, err = r.Connect(syscall.SOCK_STREAM); err != nil {
			return nil, err
		}
	}
	for _, d := range spec.Disks {
		if _, err := r.OpenDisk(d); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// descriptors are the numbers that QEMU will see.
func (r *resources) descriptors() descriptors {
	d := descriptors{control: child.FirstFile, portal: child.FirstFile + 1, console: child.FirstFile + 2}
	disks := 3
	if r.network != nil {
		d.network = child.FirstFile + disks
		disks++
	}
	for i := range r.Inherited[disks:] {
		d.disks = append(d.disks, child.FirstFile+disks+i)
	}
	return d
}
