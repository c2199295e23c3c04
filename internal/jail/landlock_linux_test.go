package jail

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestLandlockAlone(t *testing.T) {
	version, err := landlockVersion()
	if err != nil {
		t.Skip("this host gives no Landlock: ", err)
	}
	attacks := []string{
		"read a system file", "read the user's file", "read another box's disk", "read another image", "list the home",
		"list processes", "write to the user's file", "write to another box's disk", "make a file in /tmp",
		"make a file in the root", "remove the user's file", "execute a shell",
		"trace a host process", "read a host process's environment", "open /dev/mem", "open the kernel's log", "mount",
	}
	if version >= 4 {
		attacks = append(attacks, "connect to a TCP port of the host")
	}
	if version >= 6 {
		attacks = append(attacks, "connect to an abstract socket of the host", "signal a host process")
	}
	holdsAlone(t, Landlock, attacks...)
}

func TestEverythingGrowsWithTheVersion(t *testing.T) {
	first, sixth := everything(1), everything(6)
	if first.Handled_access_fs&unix.LANDLOCK_ACCESS_FS_REFER != 0 || first.Handled_access_net != 0 || first.Scoped != 0 {
		t.Errorf("version 1 handles %+v", first)
	}
	if sixth.Handled_access_fs&unix.LANDLOCK_ACCESS_FS_IOCTL_DEV == 0 || sixth.Handled_access_net == 0 || sixth.Scoped == 0 {
		t.Errorf("version 6 handles %+v", sixth)
	}
	if everything(99) != sixth {
		t.Error("an unknown version handles more than is known")
	}
}
