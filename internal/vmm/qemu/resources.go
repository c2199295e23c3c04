package qemu

import (
	"net"
	"os"

	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/boxlite-go/boxlite/internal/vmm"
)

// resources are what a machine is given: what QEMU inherits, and our ends.
type resources struct {
	control, portal net.Conn
	output          *os.File // what the guest's console prints
	console         *console

	inherited []*os.File // control, portal, console, then the disks
	// largestDisk is the size of the largest disk that may be written.
	largestDisk int64
}

// openResources opens everything, or nothing.
func openResources(spec vmm.Spec) (_ *resources, err error) {
	r := &resources{}
	defer func() {
		if err != nil {
			r.closeTheirs()
			r.closeOurs()
		}
	}()
	for _, conn := range []*net.Conn{&r.control, &r.portal} {
		ours, theirs, err := socketPair()
		if err != nil {
			return nil, &protocol.Error{Kind: protocol.KindEngine, Op: "connect to QEMU", Err: err}
		}
		*conn = ours
		r.inherited = append(r.inherited, theirs)
	}
	if r.console, err = openConsole(spec.Console); err != nil {
		return nil, err
	}
	output, theirs, err := os.Pipe()
	if err != nil {
		return nil, &protocol.Error{Kind: protocol.KindEngine, Op: "connect to QEMU", Err: err}
	}
	r.output = output
	r.inherited = append(r.inherited, theirs)
	for _, d := range spec.Disks {
		mode := os.O_RDWR
		if d.ReadOnly {
			mode = os.O_RDONLY
		}
		file, err := os.OpenFile(d.Path, mode, 0)
		if err != nil {
			return nil, &protocol.Error{Kind: protocol.KindStorage, Op: "open disk " + d.Serial, Err: err}
		}
		r.inherited = append(r.inherited, file)
		info, err := file.Stat()
		if err != nil {
			return nil, &protocol.Error{Kind: protocol.KindStorage, Op: "open disk " + d.Serial, Err: err}
		}
		if !d.ReadOnly {
			r.largestDisk = max(r.largestDisk, info.Size())
		}
	}
	return r, nil
}

// descriptors are the numbers that QEMU will see.
func (r *resources) descriptors() descriptors {
	d := descriptors{control: firstDescriptor, portal: firstDescriptor + 1, console: firstDescriptor + 2}
	for i := range r.inherited[3:] {
		d.disks = append(d.disks, firstDescriptor+3+i)
	}
	return d
}

func (r *resources) closeTheirs() {
	for _, f := range r.inherited {
		_ = f.Close()
	}
	r.inherited = nil
}

func (r *resources) closeOurs() {
	if r.control != nil {
		_ = r.control.Close()
	}
	if r.portal != nil {
		_ = r.portal.Close()
	}
	if r.output != nil {
		_ = r.output.Close()
	}
	if r.console != nil {
		_ = r.console.file.Close()
	}
}
