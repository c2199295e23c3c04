package box

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/boxlite-go/boxlite/internal/shim"
)

// RestartPolicy says when a box is started again whose run has ended, though
// nobody asked for that. The zero value is never.
type RestartPolicy struct {
	Mode RestartMode
	// MaxRetries is how often in a row a box is started again after failures; 0 is
	// without end. It is for RestartOnFailure.
	MaxRetries int
}

// RestartMode is the kind of a RestartPolicy.
type RestartMode string

// The kinds of a RestartPolicy.
const (
	RestartNever RestartMode = ""
	// RestartOnFailure is after a run that ended with another code than 0, by a
	// failure of the machine or its holder, or for want of memory.
	RestartOnFailure RestartMode = "on-failure"
	RestartAlways    RestartMode = "always"
)

// ParseRestartPolicy reads a policy as docker has it: "no", "on-failure",
// "on-failure:3", "always". "unless-stopped" is the same as "always": a box that
// somebody has stopped is never started again.
func ParseRestartPolicy(text string) (RestartPolicy, error) {
	mode, limit, limited := strings.Cut(text, ":")
	var p RestartPolicy
	switch mode {
	case "", "no":
	case "unless-stopped":
		p.Mode = RestartAlways
	case string(RestartOnFailure), string(RestartAlways):
		p.Mode = RestartMode(mode)
	default:
		return p, fmt.Errorf("no restart policy is called %.50q", mode)
	}
	if !limited {
		return p, nil
	}
	if p.Mode != RestartOnFailure {
		return p, fmt.Errorf("the restart policy %q takes no number", mode)
	}
	n, err := strconv.Atoi(limit)
	if err != nil || n < 1 {
		return p, fmt.Errorf("a box can't be started again %.50q times", limit)
	}
	p.MaxRetries = n
	return p, nil
}

// Check reports what is wrong with a policy.
func (p RestartPolicy) Check() error {
	if p.MaxRetries < 0 {
		return errors.New("a box can't be started again less than 0 times")
	}
	_, err := ParseRestartPolicy(p.String())
	return err
}

// String is what ParseRestartPolicy reads.
func (p RestartPolicy) String() string {
	switch {
	case p == RestartPolicy{}:
		return "no"
	case p.MaxRetries != 0:
		return fmt.Sprintf("%s:%d", p.Mode, p.MaxRetries)
	}
	return string(p.Mode)
}

// MarshalText returns the text of String.
func (p RestartPolicy) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads what ParseRestartPolicy reads.
func (p *RestartPolicy) UnmarshalText(text []byte) (err error) {
	*p, err = ParseRestartPolicy(string(text))
	return err
}

// Wants reports whether a box in this state is to be started again.
func (p RestartPolicy) Wants(s State) bool {
	if s.Status.Active() || s.StopRequested || s.Exit == nil {
		return false
	}
	switch s.Exit.Reason {
	case shim.ReasonStopped, shim.ReasonKilled:
		return false
	}
	switch p.Mode {
	case RestartAlways:
		return true
	case RestartOnFailure:
		return s.Exit.failure() && (p.MaxRetries == 0 || s.Restarts < p.MaxRetries)
	}
	return false
}

// failure reports whether the run ended otherwise than by a main process that
// was content.
func (e *Exit) failure() bool {
	return e.Reason != shim.ReasonExited || e.Code == nil || *e.Code != 0
}

// The time before a box is started again.
const (
	leastDelay = 100 * time.Millisecond
	mostDelay  = time.Minute
	// steadyRun is how long a box has to run to count as one that works.
	steadyRun = 10 * time.Second
)

// RestartDelay returns how long to wait before a box is started again that ran so
// long, after it had been started again with the delay last, or 0.
func RestartDelay(last, ran time.Duration) time.Duration {
	if last == 0 || ran >= steadyRun {
		return leastDelay
	}
	return min(2*last, mostDelay)
}

// StayDown notes that somebody wants the box not to run: it is not started again
// by its restart policy.
func (l *Locked) StayDown() error {
	if l.Config.Restart.Mode == RestartNever || l.State.StopRequested || l.Err != nil {
		return nil
	}
	state := l.State
	state.StopRequested = true
	if err := replaceJSON(filepath.Join(l.Dir(), fileState), state); err != nil {
		return storageError("stop the box", l.Config.Label(), err)
	}
	l.State = state
	return nil
}
