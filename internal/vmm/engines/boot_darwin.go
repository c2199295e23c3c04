package engines

import "golang.org/x/sys/unix"

// bootID differs between boots of this host.
func bootID() string {
	id, _ := unix.Sysctl("kern.bootsessionuuid")
	return id
}
