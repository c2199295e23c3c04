package boxlite

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/jail"
	"github.com/boxlite-go/boxlite/internal/vmm/engines"
)

// CheckStatus is what a [Check] has found.
type CheckStatus string

const (
	// CheckOK means that there is nothing to improve.
	CheckOK CheckStatus = "ok"
	// CheckLimited means that it works, and could work better.
	CheckLimited CheckStatus = "limited"
	// CheckFailed means that it does not work.
	CheckFailed CheckStatus = "failed"
)

// Check is one thing that boxes need of a host.
type Check struct {
	// Name is "home", or "engine" or "jail" and the name of the engine or layer.
	Name   string      `json:"name"`
	Status CheckStatus `json:"status"`
	// Detail is what was found, Hint what would make it better.
	Detail string `json:"detail"`
	Hint   string `json:"hint"`
}

// Diagnosis is what [Runtime.Doctor] finds.
type Diagnosis struct {
	// CanStart says whether a box can be started on this host, now: by Options.Engine, if
	// that names an engine, or else by any.
	CanStart bool    `json:"canStart"`
	Checks   []Check `json:"checks"`
}

// lowSpace is how much must be free where the home is, for images and boxes to
// grow a while: 1 GiB.
const lowSpace = 1 << 30

// Doctor looks at all that boxes need of this host. It asks anew, whatever was
// found out before, so it takes longer than Info. The error is that of ctx; what
// doesn't work is in the Diagnosis.
func (rt *Runtime) Doctor(ctx context.Context) (Diagnosis, error) {
	if err := rt.check(); err != nil {
		return Diagnosis{}, err
	}
	home := rt.checkHome()
	d := Diagnosis{Checks: []Check{home}}
	works := false
	for _, result := range engines.ProbeAll(ctx) {
		c := checkEngine(result)
		chosen := rt.options.Engine == "" || rt.options.Engine == result.Engine
		works = works || chosen && c.Status != CheckFailed
		d.Checks = append(d.Checks, c)
	}
	jailed, err := rt.checkJail(ctx)
	if err == nil {
		d.Checks = append(d.Checks, jailed...)
		works = works && !slices.ContainsFunc(jailed, func(c Check) bool { return c.Status == CheckFailed })
	} else if ctx.Err() == nil {
		return Diagnosis{}, err
	}
	d.CanStart = works && home.Status != CheckFailed
	if ctx.Err() != nil {
		return Diagnosis{}, context.Cause(ctx)
	}
	return d, nil
}

func (rt *Runtime) checkHome() Check {
	c := Check{Name: "home", Status: CheckOK}
	var fs unix.Statfs_t
	err := unix.Statfs(rt.home, &fs)
	if err == nil {
		free := uint64(fs.Bavail) * uint64(fs.Bsize)
		c.Detail = fmt.Sprintf("%s, %.1f GiB free", rt.home, float64(free)/(1<<30))
		if free < lowSpace {
			c.Status, c.Hint = CheckLimited, "remove images with boxlite rmi --unused, or choose another home"
		}
		err = unix.Access(rt.home, unix.W_OK)
	}
	if err != nil {
		return Check{
			Name: "home", Status: CheckFailed, Detail: fmt.Sprintf("%s: %v", rt.home, err),
			Hint: hintOtherHome,
		}
	}
	return c
}

func checkEngine(r engines.Result) Check {
	c := Check{Name: "engine " + r.Engine, Status: CheckOK}
	if r.Err != nil {
		c.Status, c.Detail, c.Hint = CheckFailed, r.Err.Error(), HintOf(r.Err)
		return c
	}
	c.Detail = fmt.Sprintf("%s (%s)", r.Capability.Isolation, r.Capability.Accelerator)
	if r.Capability.Note != "" {
		c.Status = CheckLimited
		c.Detail += ": " + r.Capability.Note
	}
	return c
}

// checkJail looks at each layer. One that is missing is a failure if boxes don't start
// without it.
func (rt *Runtime) checkJail(ctx context.Context) ([]Check, error) {
	if rt.options.Security == SecurityOff {
		return []Check{{Name: "jail", Status: CheckLimited, Detail: "boxes have none: the security is off"}}, nil
	}
	support, err := jail.Probe(ctx, rt.options.ShimPath)
	if err != nil {
		return nil, err
	}
	missing := CheckLimited
	if support.Enough(rt.options.Security) != nil {
		missing = CheckFailed
	}
	var checks []Check
	for _, l := range support.Layers {
		c := Check{Name: "jail " + string(l), Status: CheckOK, Detail: l.Gives()}
		if more := support.Details[l]; more != "" {
			c.Detail += " (" + more + ")"
		}
		checks = append(checks, c)
	}
	for _, m := range support.Missing {
		checks = append(checks, Check{Name: "jail " + string(m.Layer), Status: missing, Detail: m.Reason, Hint: m.Hint})
	}
	return checks, nil
}

// Err returns an error of kind [ErrUnsupportedEngine] if no box can be started.
func (d Diagnosis) Err() error {
	if d.CanStart {
		return nil
	}
	return &Error{
		Kind: ErrUnsupportedEngine, Op: "look at this host", Err: errors.New("no box can be started on it"),
		Hint: "do what the checks that failed say",
	}
}
