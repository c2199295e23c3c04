package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// Type says what was done. Readers must expect types that they don't know.
type Type string

// The types of events.
const (
	Created  Type = "created"
	Starting Type = "starting"
	Started  Type = "started"
	Exec     Type = "exec"
	Paused   Type = "paused"
	Resumed  Type = "resumed"
	Stopping Type = "stopping"
	Stopped  Type = "stopped"
	Failed   Type = "failed"
	Removed  Type = "removed"
	Renamed  Type = "renamed"

	// Denied is something that the policy of the box's network has refused.
	Denied Type = "denied"

	CopiedIn  Type = "copied-in"
	CopiedOut Type = "copied-out"
)

// Event is a line of the log. Arguments and environments may hold secrets, and
// have no place in it.
type Event struct {
	// Time and PID are set by [Log.Append].
	Time time.Time `json:"time"`
	Type Type      `json:"type"`
	// Box is the box's ID, Name its name if it has one.
	Box  string `json:"box"`
	Name string `json:"name,omitempty"`
	// PreviousName is the name that the box had before it was renamed.
	PreviousName string `json:"previousName,omitempty"`
	// PID is the process that did it, or found that it had happened.
	PID int `json:"pid"`
	// Run counts the starts of the box: which run the event belongs to.
	Run int `json:"run,omitempty"`

	Image       string `json:"image,omitempty"`
	ImageDigest string `json:"imageDigest,omitempty"`
	// Command is the name of a program, without its arguments.
	Command string `json:"command,omitempty"`
	// HostPath and BoxPath are the ends of a copy. HostPath is empty if that is a
	// stream.
	HostPath    string `json:"hostPath,omitempty"`
	BoxPath     string `json:"boxPath,omitempty"`
	Engine      string `json:"engine,omitempty"`
	Accelerator string `json:"accelerator,omitempty"`
	Isolation   string `json:"isolation,omitempty"`
	// Security is how much of a jail was asked for, Jail the layers that were built.
	Security string   `json:"security,omitempty"`
	Jail     []string `json:"jail,omitempty"`

	// FinishedAt is when the run ended, Exit how.
	FinishedAt time.Time `json:"finishedAt,omitzero"`
	Exit       *Exit     `json:"exit,omitempty"`
	Error      string    `json:"error,omitempty"`
	Hint       string    `json:"hint,omitempty"`

	// Denial is what was refused.
	Denial *Denial `json:"denial,omitempty"`
}

// Denial is something that the policy of a box's network has refused.
type Denial struct {
	// Kind is how it was noticed: "flow", "dns", "http", "tls", "host" or "frame".
	Kind string `json:"kind"`
	// Protocol and Address are those of the flow, Name is what it wanted to reach, if
	// that is known.
	Protocol string `json:"protocol,omitempty"`
	Address  string `json:"address,omitempty"`
	Name     string `json:"name,omitempty"`
	// Rule is the rule that refused it, or in parentheses why none allowed it.
	Rule string `json:"rule"`
	// Count is how many were the same, in the minute before the event.
	Count int `json:"count"`
}

// Exit says how a run ended.
type Exit struct {
	Reason string `json:"reason"`
	// Code is -1 if there is none.
	Code   int `json:"code"`
	Signal int `json:"signal"`
}

const (
	// maxLine is the length of the longest line, with its end.
	maxLine = 16 << 10
	// maxText is the length of the longest text in an event.
	maxText = 4 << 10
)

// encode returns the event's line. What is too long is cut.
func encode(e Event) ([]byte, error) {
	for limit := maxText; ; limit /= 2 {
		var line bytes.Buffer
		to := json.NewEncoder(&line)
		to.SetEscapeHTML(false)
		if err := to.Encode(shortened(e, limit)); err != nil {
			return nil, err
		}
		if line.Len() <= maxLine || limit == 0 {
			return line.Bytes(), nil
		}
	}
}

func shortened(e Event, limit int) Event {
	if e.Exit != nil {
		exit := *e.Exit
		e.Exit = &exit
		cut(&exit.Reason, limit)
	}
	if e.Denial != nil {
		denial := *e.Denial
		e.Denial = &denial
		for _, text := range []*string{&denial.Kind, &denial.Protocol, &denial.Address, &denial.Name, &denial.Rule} {
			cut(text, limit)
		}
	}
	cut((*string)(&e.Type), limit)
	for _, text := range []*string{
		&e.Box, &e.Name, &e.PreviousName, &e.Image, &e.ImageDigest, &e.Command, &e.HostPath, &e.BoxPath,
		&e.Engine, &e.Accelerator, &e.Isolation, &e.Error, &e.Hint,
	} {
		cut(text, limit)
	}
	return e
}

// cut shortens a text to limit bytes, and shows that it did.
func cut(text *string, limit int) {
	if len(*text) <= limit {
		return
	}
	end := limit
	for end > 0 && !utf8.RuneStart((*text)[end]) {
		end--
	}
	*text = (*text)[:end] + "…"
}

// parse reads a line, which others may have damaged.
func parse(line []byte) (Event, error) {
	var e Event
	if len(line) > maxLine {
		return e, fmt.Errorf("a line has %d bytes, more than %d", len(line), maxLine)
	}
	if err := json.Unmarshal(line, &e); err != nil {
		return Event{}, err
	}
	if e.Type == "" || e.Time.IsZero() {
		return Event{}, errors.New("a line has no type, or no time")
	}
	return e, nil
}
