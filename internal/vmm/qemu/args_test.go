package qemu

import (
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/boxlite-go/boxlite/internal/vmm"
)

var update = flag.Bool("update", false, "rewrite the files in testdata")

// TestArguments compares whole command lines, one argument a line, with those in
// testdata.
func TestArguments(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the command lines in testdata are those for Linux")
	}
	spec := vmm.Spec{
		Kernel: "/home/a b,c/vmlinux", Initrd: "/home/a b,c/initrd.cpio", CPUs: 1, MemoryMiB: 512,
		Disks: []vmm.Disk{
			{Path: "/images/x,y.ext4", Serial: "boxlite-image", ReadOnly: true},
			{Path: "/boxes/1/disk.ext4", Serial: "boxlite-disk"},
		},
		Console: "/boxes/1/console.log",
	}
	fds := descriptors{control: 3, portal: 4, console: 5, disks: []int{6, 7}}
	two := spec
	two.CPUs = 2
	connected, connectedFDs := spec, descriptors{control: 3, portal: 4, console: 5, network: 6, disks: []int{7, 8}}
	connected.MAC = "5a:94:ef:e4:0c:ee"
	for name, args := range map[string][]string{
		"kvm":         arguments(spec, vmm.Capability{Accelerator: accelKVM}, fds),
		"tcg":         arguments(spec, vmm.Capability{Accelerator: accelTCG, TSCKHz: 2500000}, fds),
		"kvm-network": arguments(connected, vmm.Capability{Accelerator: accelKVM}, connectedFDs),
		"tcg-2":       arguments(two, vmm.Capability{Accelerator: accelTCG, TSCKHz: 2500000}, fds),
	} {
		t.Run(name, func(t *testing.T) {
			got := strings.Join(args, "\n") + "\n"
			golden := filepath.Join("testdata", name+".args")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil || got != string(want) {
				t.Errorf("%v\n%s\nis not what %s says; -update rewrites it", err, got, golden)
			}
		})
	}
}
