package guest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/boxlite-go/boxlite/internal/guest/container"
)

// TestOOMKillsExplainEnds: as many ends by SIGKILL as there were kills, whether
// the command was killed itself or tells that its child was.
func TestOOMKillsExplainEnds(t *testing.T) {
	k := &oomKills{events: filepath.Join(t.TempDir(), "memory.events")}
	killed, shell := container.ExitStatus{Code: 137, Signal: 9}, container.ExitStatus{Code: 137}
	for i, step := range []struct {
		kills int // -1 for no file
		end   container.ExitStatus
		want  bool
	}{
		{-1, killed, false},
		{0, killed, false},
		{1, container.ExitStatus{Code: 1}, false},
		{1, container.ExitStatus{Code: 143, Signal: 15}, false},
		{1, killed, true},
		{1, killed, false},
		{3, shell, true},
		{3, killed, true},
		{3, shell, false},
	} {
		if step.kills >= 0 {
			text := fmt.Sprintf("low 0\nhigh 0\nmax 7\noom 9\noom_kill %d\noom_group_kill 5\n", step.kills)
			if err := os.WriteFile(k.events, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := k.explain(step.end); got != step.want {
			t.Errorf("step %d: got %t", i, got)
		}
	}
}
