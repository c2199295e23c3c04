package guest

import (
	"bytes"
	"os"
	"strconv"
	"sync"
	"syscall"

	"github.com/boxlite-go/boxlite/internal/guest/container"
)

// oomKills knows how many processes of the container the kernel has killed for
// want of memory, and which ends of commands these explain.
type oomKills struct {
	events string // memory.events of the container's cgroup

	mu        sync.Mutex
	explained uint64
}

// explain reports whether a command ended so because the kernel killed it, or a
// process that it waited for: a shell ends with the code of that one then. Each
// kill explains one end, so that a later SIGKILL from somebody else is not taken
// for one.
func (k *oomKills) explain(end container.ExitStatus) bool {
	if end.Code != 128+int(syscall.SIGKILL) {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	text, err := os.ReadFile(k.events)
	if err != nil || countOOMKills(text) <= k.explained {
		return false
	}
	k.explained++
	return true
}

// countOOMKills reads the line of memory.events that counts kills, which the
// kernel raises before it kills.
func countOOMKills(events []byte) uint64 {
	for line := range bytes.Lines(events) {
		if text, ok := bytes.CutPrefix(line, []byte("oom_kill ")); ok {
			n, _ := strconv.ParseUint(string(bytes.TrimSpace(text)), 10, 64)
			return n
		}
	}
	return 0
}
