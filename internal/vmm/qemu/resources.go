package qemu

import (
	"errors"
	"net"
	"os"
	"syscall"

	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/boxlite-go/boxlite/internal/vmm"
	"github.com/boxlite-go/boxlite/internal/vmm/child"
	"github.com/boxlite-go/boxlite/internal/vmm/console"
)

// resources are what a machine is given: what QEMU inherits, and our ends.
type resources struct {
	control, portal net.Conn
	network         net.Conn // nil without a network card
	output          *os.File // what the guest's console prints
	console         *console.File

	inherited []*os.File // control, portal, console, perhaps network, then the disks
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
	if err := errors.Join(r.connect(&r.control), r.connect(&r.portal)); err != nil {
		return nil, err
	}
	if r.console, err = console.Open(spec.Console); err != nil {
		return nil, err
	}
	output, theirs, err := os.Pipe()
	if err != nil {
		return nil, &protocol.Error{Kind: protocol.KindEngine, Op: "connect to QEMU", Err: err}
	}
	r.output = output
	r.inherited = append(r.inherited, theirs)
	if spec.MAC != "" {
		if err := r.connect(&r.network); err != nil {
			return nil, err
		}
	}
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

// connect makes a connection, and sets ours to our end.
func (r *resources) connect(ours *net.Conn) error {
	conn, theirs, err := child.SocketPair(syscall.SOCK_STREAM)
	if err != nil {
		return &protocol.Error{Kind: protocol.KindEngine, Op: "connect to QEMU", Err: err}
	}
	*ours = conn
	r.inherited = append(r.inherited, theirs)
	return nil
}

// descriptors are the numbers that QEMU will see.
func (r *resources) descriptors() descriptors {
	d := descriptors{control: child.FirstFile, portal: child.FirstFile + 1, console: child.FirstFile + 2}
	disks := 3
	if r.network != nil {
		d.network = child.FirstFile + disks
		disks++
	}
	for i := range r.inherited[disks:] {
		d.disks = append(d.disks, child.FirstFile+disks+i)
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
	if r.network != nil {
		_ = r.network.Close()
	}
	if r.output != nil {
		_ = r.output.Close()
	}
	if r.console != nil {
		_ = r.console.Close()
	}
}
