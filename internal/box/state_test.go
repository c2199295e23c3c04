package box

import (
	"testing"

	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/protocol/rpc"
	"github.com/boxlite-go/boxlite/internal/shim"
)

func TestTransitions(t *testing.T) {
	all := []Status{Configured, Starting, Running, Paused, Stopping, Stopped, Failed, Unknown}
	// A row for each state, a column for each that may follow.
	table := map[Status]string{
		//           C S R P S S F U
		Configured: ". x . . . . . x",
		Starting:   ". x x . x x x x",
		Running:    ". . . x x x . x",
		Paused:     ". . x . x x . x",
		Stopping:   ". x x x . x . x",
		Stopped:    ". x . . . . . x",
		Failed:     ". x . . . . . x",
		Unknown:    "x x x x x x x .",
	}
	for from, row := range table {
		for i, to := range all {
			if got, want := from.Can(to), row[2*i] == 'x'; got != want {
				t.Errorf("from %s to %s: got %v, want %v", from, to, got, want)
			}
		}
	}
	if Status("sleeping").Can(Running) || Running.Can("sleeping") {
		t.Error("a state that doesn't exist has transitions")
	}
}

func TestEnded(t *testing.T) {
	for name, c := range map[string]struct {
		from   Status
		record *boxlitev1.ExitRecord
		want   Status
		code   int // -1 for none
		kind   protocol.Kind
	}{
		"exit": {
			Running, &boxlitev1.ExitRecord{Reason: shim.ReasonExited, Status: &boxlitev1.ExitStatus{Code: 3}}, Stopped, 3, 0,
		},
		"stop of an idle box": {Stopping, &boxlitev1.ExitRecord{Reason: shim.ReasonStopped}, Stopped, -1, 0},
		"failed start": {
			Starting, &boxlitev1.ExitRecord{
				Reason: shim.ReasonFailed, Error: rpc.ToDetail(&protocol.Error{Kind: protocol.KindEngine, Op: "boot"}),
			}, Failed, -1, protocol.KindEngine,
		},
		"failure while stopping": {Stopping, &boxlitev1.ExitRecord{Reason: shim.ReasonFailed}, Stopped, -1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got := State{Status: c.from, Runs: 4, Error: &Failure{}}.Ended(c.record)
			if got.Status != c.want || got.Runs != 4 || got.Exit.Reason != c.record.GetReason() {
				t.Errorf("got %+v", got)
			}
			switch {
			case c.code < 0 && got.Exit.Code != nil:
				t.Errorf("got code %d, want none", *got.Exit.Code)
			case c.code >= 0 && (got.Exit.Code == nil || *got.Exit.Code != c.code):
				t.Errorf("got code %v, want %d", got.Exit.Code, c.code)
			}
			if (c.kind != 0) != (got.Error != nil) || got.Error != nil && got.Error.Kind != c.kind {
				t.Errorf("got error %+v, want kind %v", got.Error, c.kind)
			}
		})
	}
}
