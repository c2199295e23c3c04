package vmm_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/boxlite-go/boxlite/internal/vmm"
)

func TestValidate(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*vmm.Spec)
		want   error
		text   string
	}{
		{"good", func(*vmm.Spec) {}, nil, ""},
		{"smallest", func(s *vmm.Spec) { s.MemoryMiB = 64; s.Disks = nil }, nil, ""},
		{"largest", func(s *vmm.Spec) { s.CPUs = 64; s.MemoryMiB = 1 << 20 }, nil, ""},
		{"no CPU", func(s *vmm.Spec) { s.CPUs = 0 }, protocol.KindInvalidArgument, "0 CPUs"},
		{"too many CPUs", func(s *vmm.Spec) { s.CPUs = 65 }, protocol.KindInvalidArgument, "65 CPUs"},
		{"little memory", func(s *vmm.Spec) { s.MemoryMiB = 63 }, protocol.KindInvalidArgument, "below the minimum of 64 MiB"},
		{"negative memory", func(s *vmm.Spec) { s.MemoryMiB = -1 }, protocol.KindInvalidArgument, "below the minimum"},
		{"too much memory", func(s *vmm.Spec) { s.MemoryMiB = 1<<20 + 1 }, protocol.KindInvalidArgument, "above the maximum"},
		{"no kernel", func(s *vmm.Spec) { s.Kernel = "" }, protocol.KindInternal, "no kernel"},
		{"no serial", func(s *vmm.Spec) { s.Disks[0].Serial = "" }, protocol.KindInvalidArgument, `""`},
		{"long serial", func(s *vmm.Spec) { s.Disks[0].Serial = strings.Repeat("x", 21) }, protocol.KindInvalidArgument, "xxx"},
		{"odd serial", func(s *vmm.Spec) { s.Disks[0].Serial = "a,b" }, protocol.KindInvalidArgument, "a,b"},
		{"same serial", func(s *vmm.Spec) { s.Disks[1].Serial = "one" }, protocol.KindInvalidArgument, "taken"},
		{"too many disks", func(s *vmm.Spec) { s.Disks = make([]vmm.Disk, vmm.MaxDisks+1) }, protocol.KindInvalidArgument, "129 disks"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := vmm.Spec{
				Kernel: "k", Initrd: "i", Console: "c", CPUs: 1, MemoryMiB: 512,
				Disks: []vmm.Disk{{Path: "a", Serial: "one"}, {Path: "b", Serial: "two"}},
			}
			test.change(&s)
			err := s.Validate()
			if !errors.Is(err, test.want) || err != nil && !strings.Contains(err.Error(), test.text) {
				t.Errorf("error %v, want %v: %s", err, test.want, test.text)
			}
		})
	}
}
