//go:build amd64

package vm

import (
	"fmt"
	"unsafe"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/api"
)

// setMSRs writes registers. The kernel returns how many it has written.
func setMSRs(fd int, m *api.MSRs) (int, error) {
	n, err := api.Do(fd, api.SetMSRs, uintptr(unsafe.Pointer(m)))
	if err == nil && n < int(m.Count) {
		err = fmt.Errorf("KVM does not set the model-specific register %#x", m.Entries[n].Index)
	}
	return n, err
}
