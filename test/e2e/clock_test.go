package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/boxlite-go/boxlite"
)

// clockError is by how much a guest's clock may be wrong.
const clockError = 50 * time.Millisecond

// TestClockAfterAPause: a guest that stood still has the host's time when it goes
// on (boxlite#788, microsandbox#831).
func TestClockAfterAPause(t *testing.T) {
	needMachine(t)
	t.Parallel()
	rt := openRuntime(t, boxlite.Options{})
	box := newBox(t, rt, boxlite.BoxSpec{})
	checkClock(t, box)
	if err := box.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	if info, err := box.Info(t.Context()); err != nil || info.Status != boxlite.StatusPaused {
		t.Errorf("got %+v, %v", info, err)
	}
	<-time.After(10 * clockError) // what is tested is that this time is not lost
	if err := box.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkClock(t, box)
}

func checkClock(t *testing.T, box *boxlite.Box) {
	t.Helper()
	before := time.Now()
	out, err := box.Command("sh", "-c", "touch /tmp/now; TZ=UTC stat -c %y /tmp/now").Output(t.Context())
	after := time.Now()
	if err != nil {
		t.Fatal(err)
	}
	guest, err := time.Parse("2006-01-02 15:04:05.000000000 -0700", strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	if guest.Before(before.Add(-clockError)) || guest.After(after.Add(clockError)) {
		t.Errorf("the guest's clock says %v, the host's %v to %v", guest, before, after)
	}
}
