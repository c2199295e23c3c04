package jail

import "testing"

func TestPrivilegesAlone(t *testing.T) {
	holdsAlone(
		t, Privileges,
		"mount", "unmount", "make a namespace", "change the root", "make a device", "open /dev/mem",
		"load a kernel module", "set the clock", "become another user",
	)
}
