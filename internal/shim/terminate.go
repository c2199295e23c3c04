package shim

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"

	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

// terminatePoll is how often a process that is not a child is looked at when its
// end is waited for.
const terminatePoll = 10 * time.Millisecond

// Terminate ends the shim of the box in dir by a signal, for one that can't be
// asked, and returns how the run ended. Without force it shuts the box down first.
func Terminate(ctx context.Context, dir string, force bool) (*boxlitev1.ExitRecord, error) {
	const op = "end the shim"
	signal, reason := syscall.SIGTERM, ReasonStopped
	if force {
		signal, reason = syscall.SIGKILL, ReasonKilled
	}
	id, err := findShim(dir)
	if err != nil {
		return nil, &protocol.Error{Kind: protocol.KindStopped, Op: op, Err: errors.New("it has ended")}
	}
	// The handle is of one process, whatever gets its ID later: so it is taken
	// before the identity is checked.
	process, err := os.FindProcess(id.PID)
	if err != nil {
		return nil, &protocol.Error{Kind: protocol.KindInternal, Op: op, Err: err}
	}
	defer process.Release()
	if id.alive() {
		if err := process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return nil, &protocol.Error{Kind: protocol.KindInternal, Op: op, Err: err}
		}
	}
	tick := time.NewTicker(terminatePoll)
	defer tick.Stop()
	for id.alive() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	record, err := ReadExit(dir)
	if err != nil { // it was killed before it could write one
		record = &boxlitev1.ExitRecord{Reason: reason, UnixNanos: time.Now().UnixNano()}
	}
	return record, nil
}
