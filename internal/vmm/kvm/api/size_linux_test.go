//go:build amd64

package api

import (
	"testing"
	"unsafe"
)

// TestSizes holds the structures against the sizes that are part of the requests'
// numbers.
func TestSizes(t *testing.T) {
	for r, size := range map[Request]uintptr{
		SetUserMemoryRegion: unsafe.Sizeof(MemoryRegion{}), IRQFD: unsafe.Sizeof(IRQFDArgs{}), IOEventFD: unsafe.Sizeof(IOEventFDArgs{}),
		GetRegs: unsafe.Sizeof(Regs{}), GetSregs: unsafe.Sizeof(Sregs{}), GetLAPIC: unsafe.Sizeof(LAPIC{}), GetIRQChip: unsafe.Sizeof(IRQChip{}),
		GetMPState: unsafe.Sizeof(MPState{}), GetEvents: unsafe.Sizeof(Events{}), GetDebugRegs: unsafe.Sizeof(DebugRegs{}),
		GetXSave: unsafe.Sizeof(XSave{}), GetXCRs: unsafe.Sizeof(XCRs{}), GetClock: unsafe.Sizeof(Clock{}),
		SetCPUID2: unsafe.Offsetof(CPUID{}.Entries), SetMSRs: unsafe.Offsetof(MSRs{}.Entries),
	} {
		if want := uintptr(r) >> 16 & 0x3fff; size != want {
			t.Errorf("request %#x takes %d bytes, and the structure has %d", uintptr(r), want, size)
		}
	}
	if unsafe.Sizeof(CPUIDEntry{}) != 40 || unsafe.Sizeof(MSR{}) != 16 {
		t.Error("the elements of lists have other sizes")
	}
}
