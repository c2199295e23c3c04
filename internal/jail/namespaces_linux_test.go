package jail

import (
	"os"
	"syscall"
	"testing"
)

func TestNamespacesAlone(t *testing.T) {
	holdsAlone(
		t, Namespaces,
		"read a system file", "read the user's file", "read another box's disk", "read another image", "list the home",
		"list processes", "write to the user's file", "write to another box's disk", "make a file in /tmp",
		"make a file in the root", "remove the user's file", "change the user's file's mode", "execute a shell",
		"connect to a TCP port of the host", "send to a UDP port of the host", "connect to a Unix socket of the host",
		"connect to an abstract socket of the host", "signal a host process", "trace a host process",
		"read a host process's memory", "open a host process", "open /dev/mem", "open the kernel's log", "mount", "unmount",
	)
}

func TestUserOfABox(t *testing.T) {
	if os.Geteuid() != 0 {
		if u := userOf("a", nil); u.Change {
			t.Errorf("an ordinary user can't become %+v", u)
		}
		return
	}
	a, b := userOf("a", []string{os.DevNull}), userOf("b", nil)
	if !a.Change || a.ID == b.ID || a.ID < firstUser || a.ID >= firstUser+users || a.ID != userOf("a", nil).ID {
		t.Errorf("got %+v and %+v", a, b)
	}
	closed := t.TempDir() + "/device"
	if err := os.WriteFile(closed, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if u := userOf("a", []string{closed}); u.Change {
		t.Errorf("%+v could not use what is root's alone", u)
	}
	if err := os.Chmod(closed, 0o660); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(closed, 0, 1234); err != nil {
		t.Fatal(err)
	}
	u := userOf("a", []string{closed})
	if !u.Change || len(u.Groups) != 1 || u.Groups[0] != 1234 {
		t.Errorf("got %+v", u)
	}
	var attr syscall.SysProcAttr
	enterNamespaces(&attr, u)
	if len(attr.UidMappings) != 2 || len(attr.GidMappings) != 3 || !attr.GidMappingsEnableSetgroups {
		t.Errorf("got %+v", attr)
	}
}
