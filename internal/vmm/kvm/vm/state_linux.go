//go:build amd64

package vm

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/api"
)

// State is what is to be known of a machine, beside its memory and devices, to go on with
// it in another process.
type State struct {
	CPUs []CPUState `json:"cpus"`
	// Chips are the PICs and the IOAPIC.
	Chips [][]byte `json:"chips"`
	// Clock is the paravirtual clock, in nanoseconds.
	Clock uint64 `json:"clock"`
}

// CPUState is the state of one processor.
type CPUState struct {
	Regs      api.Regs  `json:"regs"`
	Sregs     api.Sregs `json:"sregs"`
	MSRs      []api.MSR `json:"msrs"`
	XSave     []byte    `json:"xsave"`
	XCRs      []byte    `json:"xcrs"`
	LAPIC     []byte    `json:"lapic"`
	Events    []byte    `json:"events"`
	DebugRegs []byte    `json:"debug_regs"`
	MPState   uint32    `json:"mp_state"`
	TSCKHz    int       `json:"tsc_khz"`
}

// chips is how many interrupt controllers the machine itself has.
const chips = 3

// msrTSCDeadline is the register that starts the APIC's timer: it is set when all else
// is.
const msrTSCDeadline = 0x6e0

// Save returns the state of a machine that is paused.
func (v *VM) Save() (State, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.paused || v.ended != nil {
		return State{}, errors.New("the machine is not paused, or has ended")
	}
	var s State
	for i := range uint32(chips) {
		c := api.IRQChip{ID: i}
		if err := api.With(v.fd, api.GetIRQChip, &c); err != nil {
			return s, err
		}
		s.Chips = append(s.Chips, c.State[:])
	}
	var clock api.Clock
	if err := api.With(v.fd, api.GetClock, &clock); err != nil {
		return s, err
	}
	s.Clock = clock.Clock
	for _, p := range v.cpus {
		c, err := p.save(v.msrs)
		if err != nil {
			return s, fmt.Errorf("processor %d: %w", p.number, err)
		}
		s.CPUs = append(s.CPUs, c)
	}
	return s, nil
}

// Restore makes a machine that has not run yet what another was. It is paused then.
func (v *VM) Restore(s State) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.paused = true
	if len(s.CPUs) != len(v.cpus) || len(s.Chips) != chips {
		return fmt.Errorf("the state is of a machine with %d processors and %d interrupt controllers", len(s.CPUs), len(s.Chips))
	}
	for i, state := range s.Chips {
		c := api.IRQChip{ID: uint32(i)}
		if err := fill(c.State[:], state); err != nil {
			return err
		}
		if err := api.With(v.fd, api.SetIRQChip, &c); err != nil {
			return err
		}
	}
	if err := api.With(v.fd, api.SetClock, &api.Clock{Clock: s.Clock}); err != nil {
		return err
	}
	for i, p := range v.cpus {
		if err := p.restore(s.CPUs[i]); err != nil {
			return fmt.Errorf("processor %d: %w", i, err)
		}
	}
	return nil
}

// save reads what the kernel knows of a processor.
func (p *cpu) save(msrs []uint32) (CPUState, error) {
	var s CPUState
	var x api.XSave
	var xcrs api.XCRs
	var lapic api.LAPIC
	var events api.Events
	var debug api.DebugRegs
	var mp api.MPState
	// Reading its state comes first: it may deliver what was pending to the others.
	err := errors.Join(
		api.With(p.fd, api.GetMPState, &mp), api.With(p.fd, api.GetRegs, &s.Regs), api.With(p.fd, api.GetSregs, &s.Sregs),
		api.With(p.fd, api.GetXSave, &x), api.With(p.fd, api.GetXCRs, &xcrs), api.With(p.fd, api.GetDebugRegs, &debug),
		api.With(p.fd, api.GetLAPIC, &lapic), api.With(p.fd, api.GetEvents, &events),
	)
	if err != nil {
		return s, err
	}
	s.XSave, s.XCRs, s.LAPIC, s.Events, s.DebugRegs, s.MPState = x.Raw[:], xcrs.Raw[:], lapic.Regs[:], events.Raw[:], debug.Raw[:], mp.State
	if s.TSCKHz, err = api.Do(p.fd, api.GetTSCKHz, 0); err != nil {
		return s, err
	}
	for _, index := range msrs {
		m := api.MSRs{Count: 1}
		m.Entries[0].Index = index
		// Some that the kernel lists, this processor has not.
		if n, err := api.Do(p.fd, api.GetMSRs, uintptr(unsafe.Pointer(&m))); err == nil && n == 1 {
			s.MSRs = append(s.MSRs, m.Entries[0])
		}
	}
	return s, nil
}

// restore writes it. The order matters: what is set first decides what may be set later.
func (p *cpu) restore(s CPUState) error {
	var x api.XSave
	var xcrs api.XCRs
	var lapic api.LAPIC
	var events api.Events
	var debug api.DebugRegs
	err := errors.Join(
		fill(x.Raw[:], s.XSave), fill(xcrs.Raw[:], s.XCRs), fill(lapic.Regs[:], s.LAPIC),
		fill(events.Raw[:], s.Events), fill(debug.Raw[:], s.DebugRegs),
	)
	if err != nil {
		return err
	}
	if now, err := api.Do(p.fd, api.GetTSCKHz, 0); err == nil && now != s.TSCKHz {
		if _, err := api.Do(p.fd, api.SetTSCKHz, uintptr(s.TSCKHz)); err != nil {
			return fmt.Errorf("its clock ran at %d kHz, and this one at %d: %w", s.TSCKHz, now, err)
		}
	}
	err = errors.Join(
		api.With(p.fd, api.SetMPState, &api.MPState{State: s.MPState}), api.With(p.fd, api.SetRegs, &s.Regs),
		api.With(p.fd, api.SetSregs, &s.Sregs), api.With(p.fd, api.SetXSave, &x), api.With(p.fd, api.SetXCRs, &xcrs),
		api.With(p.fd, api.SetDebugRegs, &debug), api.With(p.fd, api.SetLAPIC, &lapic),
	)
	if err != nil {
		return err
	}
	var last []api.MSR
	for _, m := range s.MSRs {
		if m.Index == msrTSCDeadline {
			last = append(last, m)
			continue
		}
		if err := p.setMSRs(m); err != nil && m.Value != 0 {
			return err
		}
	}
	if err := p.setMSRs(last...); err != nil {
		return err
	}
	return api.With(p.fd, api.SetEvents, &events)
}

// fill copies what KVM has given us to where it takes it from, of the same size.
func fill(to, from []byte) error {
	if len(to) != len(from) {
		return fmt.Errorf("a part of the state has %d bytes, not %d", len(from), len(to))
	}
	copy(to, from)
	return nil
}

// msrIndices returns which model-specific registers KVM would have saved.
func msrIndices(device int) ([]uint32, error) {
	list := &api.MSRList{Count: uint32(len(api.MSRList{}.Indices))}
	if err := api.With(device, api.GetMSRIndexList, list); err != nil {
		return nil, err
	}
	return list.Indices[:list.Count], nil
}
