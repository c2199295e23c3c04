//go:build amd64

package monitor

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/boxlite-go/boxlite/internal/network/link"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/boot"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/control"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/memory"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio/balloon"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio/block"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio/console"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio/network"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio/random"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio/vsock"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/vm"
)

// machine is the machine that this process runs.
type machine struct {
	memory  *memory.Memory
	vm      *vm.VM
	bus     *bus
	early   *early
	console *console.Device
	socket  *vsock.Device
	card    *network.Device // nil without one
	files   []*os.File
	config  control.Config
	sectors []uint64 // of each disk
}

// newMachine puts a machine together, whose processors don't run yet. If it is to be
// restored, state is what it was.
func newMachine(c control.Config, state *os.File, log *slog.Logger) (_ *machine, err error) {
	output := os.NewFile(control.FDConsole, "console")
	m := &machine{early: &early{to: output}, files: []*os.File{output}, config: c}
	defer func() {
		if err != nil {
			m.close()
		}
	}()
	if m.memory, err = memory.New(uint64(c.MemoryMiB)<<20, c.HugePages); err != nil {
		return nil, fmt.Errorf("make the guest's memory: %w", err)
	}
	m.bus = newBus(m.memory, log)
	if err := m.addDevices(c, output, log); err != nil {
		return nil, err
	}
	kvm := os.NewFile(control.FDKVM, "/dev/kvm")
	defer kvm.Close()
	m.vm, err = vm.New(kvm, vm.Config{Memory: m.memory, CPUs: c.CPUs, Bus: m.bus, Early: m.early.add})
	if err != nil {
		return nil, fmt.Errorf("make the virtual machine: %w", err)
	}
	if err := m.bus.connect(m.vm); err != nil {
		return nil, fmt.Errorf("connect the devices: %w", err)
	}
	kernel, initrd := os.NewFile(control.FDKernel, "kernel"), os.NewFile(control.FDInitrd, "initrd")
	defer kernel.Close()
	defer initrd.Close()
	if c.Restore {
		return m, m.restore(state)
	}
	return m, m.boot(kernel, initrd)
}

// boot has the machine begin with a kernel.
func (m *machine) boot(kernel, initrd *os.File) error {
	entry, err := boot.Load(boot.Machine{
		Memory: m.memory, CPUs: m.config.CPUs, Devices: len(m.bus.devices),
		Command: m.config.Command + " acpi=off initcall_blacklist=cmos_init earlycon=uart8250,io,0x3f8",
	}, kernel, initrd)
	if err != nil {
		return err
	}
	return m.vm.Enter(entry.RIP, entry.RBX)
}

// addDevices makes the devices, the console first: what comes later may fail.
func (m *machine) addDevices(c control.Config, output *os.File, log *slog.Logger) error {
	greeting := os.NewFile(control.FDGreeting, "greeting")
	m.socket = vsock.New(vsock.Config{CID: control.GuestCID, Dial: answerGreeting(greeting), Log: log})
	m.console = console.New(output, log)
	err := errors.Join(
		m.bus.add(m.console),
		m.bus.add(random.New()),
		m.bus.add(balloon.New(m.memory, log)),
		m.bus.add(m.socket),
	)
	if err != nil {
		return err
	}
	if err := m.addCard(c, log); err != nil {
		return err
	}
	for i, d := range c.Disks {
		file := os.NewFile(uintptr(control.FDDisks+i), d.Serial)
		m.files = append(m.files, file)
		disk, err := block.New(block.Config{File: file, ReadOnly: d.ReadOnly, Serial: d.Serial, Log: log})
		if err != nil {
			return fmt.Errorf("disk %s: %w", d.Serial, err)
		}
		m.sectors = append(m.sectors, disk.Sectors())
		if err := m.bus.add(disk); err != nil {
			return err
		}
	}
	return nil
}

// addCard makes the network card, if there is to be one.
func (m *machine) addCard(c control.Config, log *slog.Logger) error {
	file := os.NewFile(control.FDNetwork, "network")
	defer file.Close()
	if c.MAC == "" {
		return nil
	}
	address, err := net.ParseMAC(c.MAC)
	if err != nil {
		return err
	}
	conn, err := net.FileConn(file)
	if err != nil {
		return fmt.Errorf("connect to the network: %w", err)
	}
	m.card = network.New(network.Config{
		MAC: address, Link: link.NewStream(conn), Log: log,
		// The stack is in the shim, and nothing can damage what passes between the two: it
		// does not verify what the guest sends, and makes sums that the guest needn't verify.
		NoChecksums: true, GoodChecksums: true,
	})
	return m.bus.add(m.card)
}

// answerGreeting joins the guest's connection to GreetingPort to the shim's. It is there
// once, even if the guest makes several connections at the same time.
func answerGreeting(file *os.File) func(port uint32) (vsock.Conn, error) {
	var left atomic.Pointer[os.File]
	left.Store(file)
	return func(port uint32) (vsock.Conn, error) {
		if port == control.GreetingPort {
			if file := left.Swap(nil); file != nil {
				return socketOf(file)
			}
		}
		return nil, errors.New("nobody listens there")
	}
}

// socketOf makes a connection of a descriptor, which it closes.
func socketOf(file *os.File) (*net.UnixConn, error) {
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	u, ok := conn.(*net.UnixConn)
	if !ok {
		_ = conn.Close()
		return nil, errors.New("the descriptor is no Unix socket")
	}
	return u, nil
}

// dial joins a descriptor to a stream to a port of the guest.
func (m *machine) dial(port uint32, file *os.File) error {
	conn, err := socketOf(file)
	if err != nil {
		return err
	}
	m.socket.Connect(port, conn)
	return nil
}

// pause stops processors, then devices.
func (m *machine) pause() {
	m.vm.Pause()
	m.bus.pause()
}

// resume lets devices, then processors go on.
func (m *machine) resume() {
	m.bus.resume()
	m.vm.Resume()
}

// wait returns how the machine has ended, when it has.
func (m *machine) wait() control.End {
	end := m.vm.Wait()
	e := control.End{Reason: control.EndFailed, Registers: end.Registers, At: time.Now()}
	switch {
	case end.Reset:
		e.Reason = control.EndReset
	case end.TripleFault:
		e.Reason = control.EndTripleFault
	}
	if end.Err != nil {
		e.Error = end.Err.Error()
	}
	return e
}

// close ends devices, and gives back what the machine has. Its processors don't run.
func (m *machine) close() {
	if m.card != nil {
		_ = m.card.Close() // first: it may be waiting for the shim
	}
	if m.bus != nil {
		m.bus.close()
	}
	if m.socket != nil {
		_ = m.socket.Close()
	}
	if m.console != nil {
		m.console.Flush()
	}
	if m.vm != nil {
		_ = m.vm.Close()
	}
	m.early.flush()
	if m.memory != nil {
		_ = m.memory.Close()
	}
	for _, f := range m.files {
		_ = f.Close()
	}
}
