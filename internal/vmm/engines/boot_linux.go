package engines

import (
	"os"
	"strings"
)

// bootID differs between boots of this host.
func bootID() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id))
}
