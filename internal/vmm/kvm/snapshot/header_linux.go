//go:build amd64

package snapshot

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/boot"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/control"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/vm"
)

const (
	// Space is how much of the file comes before the memory, which begins where a large
	// page may.
	Space = 8 << 20

	magic      = "BoxLite machine\n"
	version    = 1
	prefixSize = 32
	// maxMemoryMiB is more than any machine has.
	maxMemoryMiB = 1 << 24
)

// Header is all that is to be known of a machine but its memory.
type Header struct {
	// Config is what the machine was made from.
	Config control.Config `json:"config"`
	// Sectors are the sizes of its disks, as the guest knows them.
	Sectors []uint64 `json:"sectors,omitempty"`
	// VM is the state of its processors, interrupt controllers and clock.
	VM vm.State `json:"vm"`
	// Devices are the states of its devices, in their order.
	Devices []virtio.TransportState `json:"devices"`
}

var (
	errDamaged = errors.New("it is damaged")
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// encode returns the header as it is in the file: its beginning, and its text.
func (h Header) encode() (prefix, text []byte, err error) {
	if text, err = json.Marshal(h); err != nil {
		return nil, nil, err
	}
	if len(text) > Space-prefixSize {
		return nil, nil, fmt.Errorf("the machine's state has %d bytes, more than %d", len(text), Space-prefixSize)
	}
	prefix = append(make([]byte, 0, prefixSize), magic...)
	for _, n := range []uint32{version, uint32(len(text)), crc32.Checksum(text, castagnoli), 0} {
		prefix = binary.LittleEndian.AppendUint32(prefix, n)
	}
	return prefix, text, nil
}

// textLength returns how long the text is that follows the beginning of a file.
func textLength(prefix []byte) (int, error) {
	if len(prefix) < prefixSize || !bytes.HasPrefix(prefix, []byte(magic)) {
		return 0, errors.New("it holds no machine, or was not written to its end")
	}
	numbers := prefix[len(magic):]
	if v := binary.LittleEndian.Uint32(numbers); v != version {
		return 0, fmt.Errorf("it has version %d, this is for version %d", v, version)
	}
	n := binary.LittleEndian.Uint32(numbers[4:])
	if n == 0 || n > Space-prefixSize {
		return 0, fmt.Errorf("%w: its header has %d bytes", errDamaged, n)
	}
	return int(n), nil
}

// decode reads what encode has made.
func decode(prefix, text []byte) (Header, error) {
	n, err := textLength(prefix)
	if err != nil {
		return Header{}, err
	}
	if len(text) != n || crc32.Checksum(text, castagnoli) != binary.LittleEndian.Uint32(prefix[len(magic)+8:]) {
		return Header{}, fmt.Errorf("%w: its header is another than was written", errDamaged)
	}
	return parse(text)
}

// parse reads and checks the text.
func parse(text []byte) (Header, error) {
	var h Header
	if err := json.Unmarshal(text, &h); err != nil {
		return Header{}, fmt.Errorf("%w: %w", errDamaged, err)
	}
	var wrong string
	switch c := h.Config; {
	case c.MemoryMiB < 1 || c.MemoryMiB > maxMemoryMiB:
		wrong = fmt.Sprintf("a machine with %d MiB of memory", c.MemoryMiB)
	case c.CPUs < 1 || c.CPUs != len(h.VM.CPUs):
		wrong = fmt.Sprintf("a machine of %d processors with %d", c.CPUs, len(h.VM.CPUs))
	case len(c.Disks) != len(h.Sectors):
		wrong = fmt.Sprintf("a machine of %d disks with %d", len(c.Disks), len(h.Sectors))
	case len(h.Devices) > boot.MaxDevices:
		wrong = fmt.Sprintf("%d devices", len(h.Devices))
	default:
		return h, nil
	}
	return Header{}, fmt.Errorf("%w: %s", errDamaged, wrong)
}

// Fits returns why a machine of this configuration, and with disks of these sizes, can't
// go on with the state, or nil. The kernel's command line has been read, and memory may be
// in pages of any size.
func (h Header) Fits(c control.Config, sectors []uint64) error {
	was := h.Config
	switch {
	case was.CPUs != c.CPUs:
		return fmt.Errorf("the machine had %d processors, not %d", was.CPUs, c.CPUs)
	case was.MemoryMiB != c.MemoryMiB:
		return fmt.Errorf("the machine had %d MiB of memory, not %d", was.MemoryMiB, c.MemoryMiB)
	case was.MAC != c.MAC:
		return fmt.Errorf("the machine's network card was %q, not %q", was.MAC, c.MAC)
	case !slices.Equal(was.Disks, c.Disks):
		return fmt.Errorf("the machine had the disks %v, not %v", was.Disks, c.Disks)
	case !slices.Equal(h.Sectors, sectors):
		return fmt.Errorf("the machine's disks had %v sectors, not %v", h.Sectors, sectors)
	}
	return nil
}
