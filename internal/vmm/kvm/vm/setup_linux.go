//go:build amd64

package vm

import (
	"math/bits"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/api"
)

// prepare makes the interrupt controllers, in the kernel: PICs, IOAPIC, and a local APIC
// with each processor to come. There is no PIT: guests have the APIC's timer and the
// paravirtual clock.
func (v *VM) prepare() error {
	// Some of Intel's processors need four pages below 4 GiB for themselves.
	identity := uint64(0xfffbc000)
	if err := api.With(v.fd, api.SetIdentityMap, &identity); err != nil {
		return err
	}
	if _, err := api.Do(v.fd, api.SetTSSAddress, 0xfffbd000); err != nil {
		return err
	}
	_, err := api.Do(v.fd, api.CreateIRQChip, 0)
	return err
}

// supportedFeatures returns what KVM and this processor can give guests.
func supportedFeatures(device int) (*api.CPUID, error) {
	f := &api.CPUID{Count: api.MaxCPUIDEntries}
	if err := api.With(device, api.GetSupportedCPUID, f); err != nil {
		return nil, err
	}
	deadline, err := api.Do(device, api.CheckExtension, api.CapTSCDeadline)
	if err != nil {
		return nil, err
	}
	for i := range f.Entries[:f.Count] {
		if e := &f.Entries[i]; e.Function == 1 && deadline > 0 {
			e.ECX |= featureTSCDeadline // which needs APICs in the kernel: they are
		}
	}
	return f, nil
}

// Bits of CPUID.
const (
	featureTSCDeadline = 1 << 24 // 1, ECX
	featureHypervisor  = 1 << 31 // 1, ECX
	featureVMX         = 1 << 5  // 1, ECX
	featureSVM         = 1 << 2  // 0x80000001, ECX
)

// cpuidFor returns what a processor answers: what all do, and who it is.
func cpuidFor(features *api.CPUID, number, cpus int) *api.CPUID {
	f := *features
	id, n := uint32(number), uint32(cpus)
	width := uint32(bits.Len32(n - 1)) // of the processors' numbers
	for i := range f.Entries[:f.Count] {
		e := &f.Entries[i]
		switch e.Function {
		case 1:
			e.ECX = (e.ECX | featureHypervisor) &^ featureVMX
			e.EBX = e.EBX&0xffff | min(n, 255)<<16 | id<<24
			if n > 1 {
				e.EDX |= 1 << 28 // EBX tells how many there are
			}
		case 4: // caches: each processor has its own, but for the last level
			if e.EAX&0x1f == 0 {
				break
			}
			e.EAX &= 0x3fff
			if e.EAX>>5&7 >= 3 {
				e.EAX |= (n - 1) << 14
			}
			e.EAX |= (n - 1) << 26
		case 0xa: // counters of performance, which are not virtual
			e.EAX, e.EBX, e.ECX, e.EDX = 0, 0, 0, 0
		case 0xb, 0x1f: // the topology: one package of cores, each with one thread
			e.EDX = id
			switch e.Index {
			case 0:
				e.EAX, e.EBX, e.ECX = 0, 1, 1<<8
			case 1:
				e.EAX, e.EBX, e.ECX = width, n, 1|2<<8
			default:
				e.EAX, e.EBX, e.ECX = 0, 0, e.Index
			}
		case 0x80000001:
			e.ECX &^= featureSVM
		case 0x80000008:
			e.ECX = e.ECX&^0xf0ff | width<<12 | min(n-1, 255)
		case 0x8000001d:
			e.EAX &^= 0xfff << 14
		case 0x8000001e:
			e.EAX, e.EBX, e.ECX = id, id, 0
		}
	}
	return &f
}

// prepare gives the processor its identity.
func (p *cpu) prepare(features *api.CPUID, cpus int) error {
	if err := api.With(p.fd, api.SetCPUID2, cpuidFor(features, p.number, cpus)); err != nil {
		return err
	}
	// Memory is cached as a PC's firmware sets it up: MTRRs on, all write-back.
	const mtrrDefType, enableWriteBack = 0x2ff, 1<<11 | 6
	return p.setMSRs(api.MSR{Index: mtrrDefType, Value: enableWriteBack})
}

func (p *cpu) setMSRs(msrs ...api.MSR) error {
	m := &api.MSRs{Count: uint32(len(msrs))}
	copy(m.Entries[:], msrs)
	_, err := setMSRs(p.fd, m)
	return err
}

// Enter has the first processor begin at an address, as a PVH kernel wants it: in 32-bit
// protected mode, without paging, with flat segments. The others wait for it.
func (v *VM) Enter(rip, rbx uint64) error {
	p := v.cpus[0]
	var s api.Sregs
	if err := api.With(p.fd, api.GetSregs, &s); err != nil {
		return err
	}
	const protectedMode, code, data, tss = 1, 11, 3, 11
	flat := api.Segment{Limit: 0xffffffff, Selector: 0x10, Type: data, Present: 1, DB: 1, S: 1, G: 1}
	s.DS, s.ES, s.FS, s.GS, s.SS, s.CS = flat, flat, flat, flat, flat, flat
	s.CS.Selector, s.CS.Type = 0x08, code
	s.TR = api.Segment{Limit: 0x67, Selector: 0x18, Type: tss, Present: 1}
	s.CR0 |= protectedMode
	if err := api.With(p.fd, api.SetSregs, &s); err != nil {
		return err
	}
	return api.With(p.fd, api.SetRegs, &api.Regs{RIP: rip, RBX: rbx, RFlags: 2})
}
