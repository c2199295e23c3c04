package boxlite

import (
	"cmp"
	"fmt"
	"time"

	"github.com/boxlite-go/boxlite/internal/box"
	"github.com/boxlite-go/boxlite/internal/image"
	"github.com/boxlite-go/boxlite/internal/shim"
)

// HealthCheck says how to find out whether a box is well. The shim does it, so
// boxes are checked whether or not a Runtime is open. Checks of one box never
// overlap, and there are none while it is paused.
type HealthCheck = shim.HealthCheck

// Health is what health checks have found.
type Health = shim.Health

// The values of Health.Status.
const (
	// HealthNone is that of a box that does not run, or has no health check.
	HealthNone = shim.HealthNone
	// HealthStarting is that of a box until a check has succeeded, or too many
	// have failed.
	HealthStarting = shim.HealthStarting
	HealthHealthy  = shim.HealthHealthy
	// HealthUnhealthy is that of a box of which too many checks in a row have
	// failed.
	HealthUnhealthy = shim.HealthUnhealthy
)

// The defaults of a HealthCheck.
const (
	defaultHealthInterval    = 30 * time.Second
	defaultHealthTimeout     = 10 * time.Second
	defaultHealthStartPeriod = time.Minute
	defaultHealthRetries     = 3
)

// The forms of a HealthCheck.Test.
const (
	testNone    = "NONE"
	testCommand = "CMD"
	testShell   = "CMD-SHELL"
)

// checkHealthCheck reports what is wrong with a health check.
func checkHealthCheck(op string, h *HealthCheck) error {
	if h == nil {
		return nil
	}
	for what, d := range map[string]time.Duration{"the interval": h.Interval, "the timeout": h.Timeout} {
		if d != 0 && d < time.Millisecond {
			return invalid(op, "choose at least a millisecond, or 0 for the default", fmt.Errorf("%s of the health check can't be %v", what, d))
		}
	}
	if h.Retries < 0 {
		return invalid(op, "choose 1 or more, or 0 for the default", fmt.Errorf("a health check can't fail after %d retries", h.Retries))
	}
	if len(h.Test) > 0 && !isTest(h.Test) {
		return invalid(op, "begin it with CMD or CMD-SHELL and a command, or let it be NONE", fmt.Errorf("%.200q is no test of a health check", h.Test))
	}
	return checkArgs(op, h.Test)
}

func isTest(test []string) bool {
	switch test[0] {
	case testNone:
		return len(test) == 1
	case testCommand, testShell:
		return len(test) > 1 && test[1] != ""
	}
	return false
}

// healthCheck returns the health check of a box with all defaults, or nil if it
// has none.
func (rt *Runtime) healthCheck(r box.Record, img image.Image) (*HealthCheck, error) {
	theirs, err := rt.images.Healthcheck(img)
	if err != nil {
		return nil, err
	}
	return mergeHealthCheck(r.Config.HealthCheck, theirs), nil
}

// mergeHealthCheck fills what the spec leaves open from the image, and the rest
// with defaults.
func mergeHealthCheck(ours *HealthCheck, theirs *image.Healthcheck) *HealthCheck {
	if ours == nil && (theirs == nil || len(theirs.Test) == 0) {
		return nil
	}
	var h HealthCheck
	if ours != nil {
		h = *ours
	}
	if theirs == nil {
		theirs = &image.Healthcheck{}
	}
	if len(h.Test) == 0 {
		h.Test = theirs.Test
	}
	if len(h.Test) > 0 && (h.Test[0] == testNone || !isTest(h.Test)) {
		return nil // docker, too, runs an image whose check it does not understand
	}
	return &HealthCheck{
		Test:        h.Test,
		Interval:    cmp.Or(h.Interval, atLeast(theirs.Interval, time.Millisecond), defaultHealthInterval),
		Timeout:     cmp.Or(h.Timeout, atLeast(theirs.Timeout, time.Millisecond), defaultHealthTimeout),
		StartPeriod: max(0, cmp.Or(h.StartPeriod, atLeast(theirs.StartPeriod, 0), defaultHealthStartPeriod)),
		Retries:     cmp.Or(h.Retries, max(0, theirs.Retries), defaultHealthRetries),
	}
}

// atLeast returns d, or 0 if it is less than least.
func atLeast(d, least time.Duration) time.Duration {
	if d < least {
		return 0
	}
	return d
}

// healthOf returns the health of a box that runs.
func healthOf(s box.State, dir string) Health {
	if s.Status != box.Running && s.Status != box.Paused {
		return Health{Status: HealthNone}
	}
	return shim.ReadHealth(dir)
}
