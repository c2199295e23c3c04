package boxlite

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/boxlite-go/boxlite/internal/audit"
)

// EventType says what an [Event] is about. Later versions have more.
type EventType string

// The types of events.
const (
	EventCreated EventType = EventType(audit.Created)
	// EventStarting is recorded before anything of the box runs, EventStarted when
	// it serves commands. A start that fails has an EventFailed instead.
	EventStarting EventType = EventType(audit.Starting)
	EventStarted  EventType = EventType(audit.Started)
	// EventExec is recorded before a command is run, which may then turn out not
	// to exist.
	EventExec    EventType = EventType(audit.Exec)
	EventPaused  EventType = EventType(audit.Paused)
	EventResumed EventType = EventType(audit.Resumed)
	// EventStopping is recorded when somebody asks for the end of a box, EventStopped
	// when it has ended, whether anybody did or not.
	EventStopping EventType = EventType(audit.Stopping)
	EventStopped  EventType = EventType(audit.Stopped)
	EventFailed   EventType = EventType(audit.Failed)
	EventRemoved  EventType = EventType(audit.Removed)
	// EventRenamed has the new name in Name.
	EventRenamed EventType = EventType(audit.Renamed)
	// EventCopiedIn and EventCopiedOut are recorded before files are copied, which
	// may then fail.
	EventCopiedIn  EventType = EventType(audit.CopiedIn)
	EventCopiedOut EventType = EventType(audit.CopiedOut)
	// EventDenied tells what the rules of a box's network have refused. Those of one
	// box are kept in its own folder, up to 16 MiB, as long as the box exists. The same
	// again within a minute is counted, and a box has a hundred of them a minute.
	EventDenied EventType = EventType(audit.Denied)
)

// EventTypes returns the types of events that this version records.
func EventTypes() []EventType {
	return []EventType{
		EventCreated, EventStarting, EventStarted, EventExec, EventPaused, EventResumed,
		EventStopping, EventStopped, EventFailed, EventRemoved, EventRenamed, EventCopiedIn, EventCopiedOut, EventDenied,
	}
}

// Event is something that was done to a box, or that happened to it. What does
// not belong to its type is zero. As JSON it is a line of logs/audit.jsonl in the
// home.
type Event struct {
	// Time is when the event was recorded. That is later than when it happened if
	// nobody saw a box end: see FinishedAt.
	Time time.Time `json:"time"`
	Type EventType `json:"type"`
	// Box is the box's ID, Name its name if it has one.
	Box  string `json:"box"`
	Name string `json:"name,omitempty"`
	// PreviousName is the name before the box was renamed, if it had one.
	PreviousName string `json:"previousName,omitempty"`
	// PID is the process on the host that did it, or found that it had happened.
	PID int `json:"pid"`
	// Run counts the starts of the box, from 1: it tells which run the event
	// belongs to.
	Run int `json:"run,omitempty"`

	Image       string `json:"image,omitempty"`
	ImageDigest string `json:"imageDigest,omitempty"`
	// Command is the name of the command, or of a started box's main process.
	// Arguments and environment are never recorded: they may hold secrets.
	Command string `json:"command,omitempty"`
	// HostPath and BoxPath are the ends of a copy, as they were given. HostPath is
	// empty if a tar was read or written instead.
	HostPath string `json:"hostPath,omitempty"`
	BoxPath  string `json:"boxPath,omitempty"`
	// Engine, Accelerator and Isolation tell what runs a started box.
	Engine      string `json:"engine,omitempty"`
	Accelerator string `json:"accelerator,omitempty"`
	Isolation   string `json:"isolation,omitempty"`
	// Security is how much of a jail was asked for, Jail lists the layers that a
	// started box has.
	Security Security `json:"security,omitempty"`
	Jail     []string `json:"jail,omitempty"`

	// FinishedAt is when a run ended, Exit how, Error why if it was a failure, and
	// Hint what to do.
	FinishedAt time.Time `json:"finishedAt,omitzero"`
	Exit       *Exit     `json:"exit,omitempty"`
	Error      string    `json:"error,omitempty"`
	Hint       string    `json:"hint,omitempty"`

	// Denial is what was refused.
	Denial *Denial `json:"denial,omitempty"`
}

// Denial is something that the rules of a box's network have refused.
type Denial struct {
	// Kind is how it was noticed: "flow", "dns", "http", "tls", "host" or "frame".
	Kind string `json:"kind"`
	// Protocol and Address are those of the flow, Name is what it wanted to reach;
	// empty if they are not known.
	Protocol string `json:"protocol,omitempty"`
	Address  string `json:"address,omitempty"`
	Name     string `json:"name,omitempty"`
	// Rule is the rule that refused it, or in parentheses why none allowed it.
	Rule string `json:"rule"`
	// Count is how many were the same, up to the time of the event.
	Count int `json:"count"`
}

// EventOptions says which events to read. The zero value reads all that there
// are.
type EventOptions struct {
	// Since leaves out what was recorded earlier, Until what was recorded later.
	Since, Until time.Time
	// Follow goes on, after what there is, with events as they happen: until Until
	// if that is set, the context ends, or the Runtime is closed.
	Follow bool
	// Boxes limits the events to boxes with these names, IDs or beginnings of IDs,
	// whether they still exist or not. Empty means all.
	Boxes []string
	// Types limits the events to these types. Empty means all.
	Types []EventType
}

// Events returns what was done to the boxes of the home, by all processes that use
// it, in the order in which it was recorded.
//
//	for event, err := range rt.Events(ctx, boxlite.EventOptions{Follow: true}) {
//		if err != nil {
//			return err
//		}
//		fmt.Println(event.Type, event.Name)
//	}
//
// After an error there are no more events; the end of the context is one. Events
// are kept as long as there is room: up to 128 MiB, about half a million.
//
// When a box ends by itself, whoever looks it up next records that. Who follows
// looks about once a second.
func (rt *Runtime) Events(ctx context.Context, options EventOptions) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		if err := rt.eachEvent(ctx, options, func(e Event) bool { return yield(e, nil) }); err != nil {
			yield(Event{}, err)
		}
	}
}

func (rt *Runtime) eachEvent(ctx context.Context, options EventOptions, yield func(Event) bool) error {
	if err := rt.check(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-rt.closing:
			cancel(rt.check())
		case <-ctx.Done():
		}
	}()
	refused := rt.denials(options.Since)
	defer refused.close()
	pass := func(e audit.Event) bool { return !options.match(e) || yield(eventOf(e)) }
	var stopped bool
	var failed error
	passRefused := func(until time.Time) bool {
		more, err := refused.each(until, pass)
		stopped, failed = stopped || !more, errors.Join(failed, err)
		if stopped || failed != nil {
			cancel(errEnough)
			return false
		}
		return true
	}
	query := audit.Query{
		Since: options.Since, Until: options.Until, Follow: options.Follow,
		Idle: func() {
			rt.collectEnded(ctx)
			refused.refresh()
			passRefused(options.Until)
		},
	}
	for e, err := range rt.log.Events(ctx, query) {
		switch {
		case stopped || failed != nil:
		case errors.Is(err, ErrStopped):
			return err
		case err != nil:
			return readError(err)
		case !passRefused(e.Time):
		case !pass(e):
			return nil
		}
	}
	if !stopped && failed == nil {
		passRefused(options.Until)
	}
	if failed != nil && !stopped {
		return readError(failed)
	}
	return nil
}

func readError(err error) error {
	return &Error{Kind: kindOfRead(err), Op: "read the audit log", Err: err}
}

// kindOfRead is the kind of an error of reading files.
func kindOfRead(err error) Kind {
	if kind := kindOfCause(err); kind != ErrInternal {
		return kind
	}
	return ErrStorage
}

// collectEnded looks at all boxes, so that the end of those that have ended is
// recorded, and those that are to be removed then are.
func (rt *Runtime) collectEnded(ctx context.Context) {
	records, _ := rt.boxes.List(ctx) // none if it can't be read now
	for _, r := range records {
		rt.collect(ctx, r)
	}
}

func (o EventOptions) match(e audit.Event) bool {
	if len(o.Types) > 0 && !slices.Contains(o.Types, EventType(e.Type)) {
		return false
	}
	return len(o.Boxes) == 0 || slices.ContainsFunc(o.Boxes, func(ref string) bool {
		return ref != "" && (ref == e.Name || ref == e.PreviousName || strings.HasPrefix(e.Box, ref))
	})
}

func eventOf(e audit.Event) Event {
	event := Event{
		Time: e.Time, Type: EventType(e.Type), Box: e.Box, Name: e.Name, PreviousName: e.PreviousName, PID: e.PID, Run: e.Run,
		Image: e.Image, ImageDigest: e.ImageDigest, Command: e.Command,
		HostPath: e.HostPath, BoxPath: e.BoxPath,
		Engine: e.Engine, Accelerator: e.Accelerator, Isolation: e.Isolation, Security: Security(e.Security), Jail: e.Jail,
		FinishedAt: e.FinishedAt, Error: e.Error, Hint: e.Hint,
	}
	if e.Exit != nil {
		event.Exit = &Exit{Reason: e.Exit.Reason, Code: e.Exit.Code, Signal: e.Exit.Signal}
	}
	if e.Denial != nil {
		denial := Denial(*e.Denial)
		event.Denial = &denial
	}
	return event
}
