package boot

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/boxlite-go/boxlite/internal/assets"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/memory"
)

func newMachine(t *testing.T, size uint64) Machine {
	t.Helper()
	m, err := memory.New(size, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return Machine{Memory: m, CPUs: 3, Devices: 2, Command: "quiet"}
}

func file(t *testing.T, content []byte) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func theKernel(t *testing.T) []byte {
	t.Helper()
	files, err := assets.Unpack(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(files.Kernel)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// TestLoad loads the real kernel.
func TestLoad(t *testing.T) {
	vmlinux := theKernel(t)
	for _, size := range []uint64{64 << 20, 4 << 30} {
		m := newMachine(t, size)
		entry, err := Load(m, file(t, vmlinux), file(t, []byte("initrd")))
		if err != nil {
			t.Fatal(err)
		}
		code, err := m.Memory.Slice(entry.RIP, 16)
		if err != nil || string(code) == strings.Repeat("\x00", 16) {
			t.Errorf("at the entry %#x is %x, %v", entry.RIP, code, err)
		}
		info, err := m.Memory.Slice(entry.RBX, 56)
		if err != nil {
			t.Fatal(err)
		}
		at := func(b []byte, offset int) uint64 { return binary.LittleEndian.Uint64(b[offset:]) }
		list, _ := m.Memory.Slice(at(info, 16), 32)
		initrd, err := m.Memory.Slice(at(list, 0), at(list, 8))
		if content, behind, _ := strings.Cut(string(initrd), "kernel."); err != nil || content != "initrd" ||
			"kernel."+behind != string(bootConfig(2)) {
			t.Errorf("the initrd is %q, %v", initrd, err)
		}
		command, _ := m.Memory.Slice(at(info, 24), 100)
		if got, _, _ := strings.Cut(string(command), "\x00"); got != "quiet bootconfig" {
			t.Errorf("the command line is %q", got)
		}
		var total uint64
		memmap, _ := m.Memory.Slice(at(info, 40), 24*4)
		for i := range binary.LittleEndian.Uint32(info[48:]) {
			if binary.LittleEndian.Uint32(memmap[24*i+16:]) == 1 {
				total += at(memmap, int(24*i+8))
			}
		}
		if want := size - (highMemory - lowMemory); total != want {
			t.Errorf("the kernel is told of %d bytes, want %d", total, want)
		}
	}
}

func TestBootConfig(t *testing.T) {
	text := `kernel.virtio_mmio.device = "4K@0xd0000000:5", "4K@0xd0001000:6"` + "\n\n\n\n"
	if got, want := string(bootConfig(2)), text+"\x44\x00\x00\x00\x8a\x12\x00\x00#BOOTCONFIG\n"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	// Linux takes no more (XBC_DATA_MAX).
	if n := len(bootConfig(MaxDevices)); n > 0x7fff {
		t.Errorf("%d devices take %d bytes", MaxDevices, n)
	}
}

func TestMPTable(t *testing.T) {
	m := newMachine(t, 64<<20)
	for _, cpus := range []int{1, 64, MaxCPUs} {
		if err := writeMPTable(m.Memory, cpus); err != nil {
			t.Fatal(err)
		}
		b, _ := m.Memory.Slice(mpTable, 8<<10)
		if string(b[:4]) != "_MP_" || checksum(b[:16]) != 0 {
			t.Errorf("the pointer is %x", b[:16])
		}
		table := b[16:]
		size := binary.LittleEndian.Uint16(table[4:])
		if string(table[:4]) != "PCMP" || checksum(table[:size]) != 0 || binary.LittleEndian.Uint16(table[34:]) != uint16(cpus+28) {
			t.Errorf("the table is %x", table[:44])
		}
	}
	if writeMPTable(m.Memory, 0) == nil || writeMPTable(m.Memory, MaxCPUs+1) == nil {
		t.Error("there is a table for too few or too many")
	}
}

func TestBadFiles(t *testing.T) {
	vmlinux := theKernel(t)
	small := newMachine(t, 16<<20)
	if _, err := Load(small, file(t, vmlinux), file(t, nil)); err == nil {
		t.Error("the kernel fits into 16 MiB")
	}
	m := newMachine(t, 64<<20)
	if _, err := Load(m, file(t, vmlinux), file(t, make([]byte, 60<<20))); err == nil || !strings.Contains(err.Error(), "initrd") {
		t.Errorf("a large initrd: %v", err)
	}
	for name, content := range map[string][]byte{"empty": nil, "text": []byte("hello"), "cut off": vmlinux[:1<<20]} {
		if _, err := Load(m, file(t, content), file(t, nil)); err == nil {
			t.Errorf("%s: it was loaded", name)
		}
	}
	m.Command = strings.Repeat("x", MaxCommandLine)
	if _, err := Load(m, file(t, vmlinux), file(t, []byte("initrd"))); err == nil || !strings.Contains(err.Error(), "command line") {
		t.Errorf("a long command line: %v", err)
	}
}

func FuzzNotes(f *testing.F) {
	f.Add([]byte("\x04\x00\x00\x00\x04\x00\x00\x00\x12\x00\x00\x00Xen\x00\x01\x02\x03\x04"))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\x12\x00\x00\x00"))
	f.Fuzz(func(_ *testing.T, b []byte) { pvhEntry(b) })
}
