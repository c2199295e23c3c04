package box

import (
	"errors"
	"slices"
	"time"

	"github.com/boxlite-go/boxlite/internal/jail"
	"github.com/boxlite-go/boxlite/internal/protocol"
)

// Status is the state that a box is in.
type Status string

// The states of a box.
const (
	// Configured boxes have been created and never started.
	Configured Status = "configured"
	Starting   Status = "starting"
	Running    Status = "running"
	Paused     Status = "paused"
	Stopping   Status = "stopping"
	// Stopped boxes have run, and keep their disk.
	Stopped Status = "stopped"
	// Failed boxes could not be started; State.Error says why.
	Failed Status = "failed"
	// Unknown is the state of a box whose record can't be read.
	Unknown Status = "unknown"
)

// transitions is where each state may lead. It is the only place that decides.
var transitions = map[Status][]Status{
	Configured: {Starting, Unknown},
	// Stopped: whoever started it was killed, and its shim is gone.
	// Starting: more is known of the run.
	Starting: {Starting, Running, Failed, Stopping, Stopped, Unknown},
	// Stopped: the main process, the guest or the shim ended by itself.
	Running: {Paused, Stopping, Stopped, Unknown},
	Paused:  {Running, Stopping, Stopped, Unknown},
	// Running, Paused, Starting: whoever was to stop it was killed before it could.
	Stopping: {Starting, Running, Paused, Stopped, Unknown},
	Stopped:  {Starting, Unknown},
	Failed:   {Starting, Unknown},
	Unknown:  {Configured, Starting, Running, Paused, Stopping, Stopped, Failed},
}

// Can reports whether a box may go from s to next.
func (s Status) Can(next Status) bool { return slices.Contains(transitions[s], next) }

// Active reports whether the box has, or should have, a shim.
func (s Status) Active() bool {
	switch s {
	case Starting, Running, Paused, Stopping:
		return true
	}
	return false
}

// Startable reports whether the box may be started.
func (s Status) Startable() bool { return s.Can(Starting) }

func (s Status) known() bool {
	_, ok := transitions[s]
	return ok
}

// State is what a box is.
type State struct {
	Status Status `json:"status"`
	// Runs counts how often the box was started.
	Runs int `json:"runs"`
	// Restarts counts how often in a row the restart policy has started it.
	Restarts int `json:"restarts,omitempty"`
	// StopRequested says that somebody asked the latest run to end, or the box not
	// to be started again.
	StopRequested bool `json:"stopRequested,omitempty"`
	// ImageDigest is the manifest digest of the image below the box's disk, from
	// the first start on.
	ImageDigest string `json:"imageDigest,omitempty"`
	// Args is the main process of the latest run, empty if it idles.
	Args []string `json:"args,omitempty"`

	// Of the latest run.
	StartedAt   time.Time `json:"startedAt,omitzero"`
	FinishedAt  time.Time `json:"finishedAt,omitzero"`
	Exit        *Exit     `json:"exit,omitempty"`
	Error       *Failure  `json:"error,omitempty"`
	Engine      string    `json:"engine,omitempty"`
	Accelerator string    `json:"accelerator,omitempty"`
	Isolation   string    `json:"isolation,omitempty"`
	Jail        jail.Plan `json:"jail,omitzero"`
	Kernel      string    `json:"kernel,omitempty"`
	Stages      []Stage   `json:"stages,omitempty"`
}

// Exit says how a run ended.
type Exit struct {
	// Reason is one of the shim's reasons, or ReasonLost.
	Reason string `json:"reason"`
	// Code is the main process's, 128 + signal if a signal ended it; nil if it
	// is not known, or there was none.
	Code   *int `json:"code,omitempty"`
	Signal int  `json:"signal,omitempty"`
}

// ReasonLost means that the shim ended without writing how: it was killed, or
// the host restarted.
const ReasonLost = "lost"

// Failure is an error as a record keeps it.
type Failure struct {
	Kind    protocol.Kind `json:"kind"`
	Message string        `json:"message"`
	Hint    string        `json:"hint,omitempty"`
}

// FailureOf describes an error for the record.
func FailureOf(err error) *Failure {
	return &Failure{Kind: protocol.KindOf(err), Message: err.Error(), Hint: protocol.HintOf(err)}
}

// Err returns the error that the record describes; nil for nil.
func (f *Failure) Err() error {
	if f == nil {
		return nil
	}
	return &protocol.Error{Kind: f.Kind, Hint: f.Hint, Err: errors.New(f.Message)}
}

// Stage is one part of a start.
type Stage struct {
	Name  string        `json:"name"`
	Began time.Time     `json:"began,omitzero"`
	Nanos time.Duration `json:"nanos"`
}
