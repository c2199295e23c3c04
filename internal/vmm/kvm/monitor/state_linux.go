//go:build amd64

package monitor

import (
	"errors"
	"fmt"
	"os"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/snapshot"
)

// save writes the machine to a file. It is paused, and stays so: what becomes of it is not
// decided here. Connections of the host to the guest, and frames on their way, are not part
// of it.
func (m *machine) save(file *os.File) error {
	state, err := m.vm.Save()
	if err != nil {
		return err
	}
	devices, err := m.bus.save()
	if err != nil {
		return err
	}
	h := snapshot.Header{Config: m.config, Sectors: m.sectors, VM: state, Devices: devices}
	h.Config.Restore = false
	return snapshot.Write(file, h, m.memory)
}

// restore makes a new machine what another was. Its devices are paused then, and its
// processors don't run. The controllers of interrupts come before the devices, which may
// raise some.
func (m *machine) restore(file *os.File) error {
	if file == nil {
		return errors.New("no state came with the request")
	}
	h, err := snapshot.Read(file)
	if err != nil {
		return err
	}
	if err := h.Fits(m.config, m.sectors); err != nil {
		return fmt.Errorf("this is another machine's state: %w", err)
	}
	if err := snapshot.ReadMemory(file, m.memory); err != nil {
		return err
	}
	if err := m.vm.Restore(h.VM); err != nil {
		return fmt.Errorf("restore the processors: %w", err)
	}
	if err := m.bus.restore(h.Devices); err != nil {
		return fmt.Errorf("restore the devices: %w", err)
	}
	return nil
}
