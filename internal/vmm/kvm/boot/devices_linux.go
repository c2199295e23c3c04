package boot

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// bootConfigWord on the command line has Linux look for a configuration behind the initrd.
const bootConfigWord = "bootconfig"

// bootConfig tells Linux where devices are, as virtio_mmio.device on its command line would,
// which has no room for as many. It is put behind the initrd
// (Linux's Documentation/admin-guide/bootconfig.rst).
func bootConfig(devices int) []byte {
	if devices == 0 {
		return nil
	}
	var list []string
	for i := range devices {
		list = append(list, fmt.Sprintf("%q", fmt.Sprintf("4K@%#x:%d", DeviceStart+i*DeviceSize, Interrupt(i))))
	}
	text := "kernel.virtio_mmio.device = " + strings.Join(list, ", ") + "\n"
	text += strings.Repeat("\n", -len(text)&3)
	var sum uint32
	for _, b := range []byte(text) {
		sum += uint32(b)
	}
	config := binary.LittleEndian.AppendUint32([]byte(text), uint32(len(text)))
	config = binary.LittleEndian.AppendUint32(config, sum)
	return append(config, "#BOOTCONFIG\n"...)
}
