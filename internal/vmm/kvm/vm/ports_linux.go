//go:build amd64

package vm

import "github.com/boxlite-go/boxlite/internal/vmm/kvm/api"

// The ports at which something is.
const (
	// portConsole and portConsoleStatus are of a serial port that is always ready.
	portConsole       = 0x3f8
	portConsoleStatus = 0x3fd
	consoleReady      = 0x60
	// portKeyboard is of the controller by which a PC can be reset (Linux's reboot=k).
	portKeyboard  = 0x64
	resetKeyboard = 0xfe
)

// handlePort does a load or store of ports, or several.
func (p *cpu) handlePort(io *api.IO) {
	size := uint64(io.Size) * uint64(io.Count)
	if io.DataOffset > uint64(len(p.shared)) || size > uint64(len(p.shared))-io.DataOffset || io.Size == 0 {
		p.fail("KVM tells of %d bytes at %#x", size, io.DataOffset)
		return
	}
	data := p.shared[io.DataOffset:][:size]
	if io.Direction != api.IOOut {
		for i := range data {
			data[i] = loadPort(io.Port)
		}
		return
	}
	switch {
	case io.Port == portConsole && io.Size == 1:
		for _, b := range data {
			p.vm.config.Early(b)
		}
	case io.Port == portKeyboard && data[0] == resetKeyboard:
		p.vm.end(End{Reset: true})
	}
}

func loadPort(port uint16) byte {
	switch port {
	case portConsoleStatus:
		return consoleReady
	case portKeyboard:
		return 0 // nothing to read, and ready for commands
	}
	return 0xff // nothing is there
}
