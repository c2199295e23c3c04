package box

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/boxlite-go/boxlite/internal/audit"
	"github.com/boxlite-go/boxlite/internal/stage"
)

// fileUnrecorded is in a box's folder from just before its state is written
// until the event of that is in the audit log, whose type it holds. If the
// process is killed in between, or the disk is full, whoever takes the box's lock
// next records the event.
const fileUnrecorded = "unrecorded"

// eventOf returns what the audit log calls a change of state, or "" for one that
// it doesn't have.
func eventOf(from, to Status) audit.Type {
	switch {
	case to == Stopped:
		return audit.Stopped
	case to == Failed:
		return audit.Failed
	case from == to || from == Stopping || from == Unknown:
		return "" // more is known of a box that runs, and ran before
	case to == Starting:
		return audit.Starting
	case to == Stopping:
		return audit.Stopping
	case to == Paused:
		return audit.Paused
	case to == Running && from == Paused:
		return audit.Resumed
	case to == Running:
		return audit.Started
	}
	return ""
}

// intended reports whether an event is recorded before it happens, and keeps it
// from happening if it can't be. All others are recorded when they have.
func intended(event audit.Type) bool { return event == audit.Starting || event == audit.Paused }

// leadsTo is the status that a box has after an event.
var leadsTo = map[audit.Type]Status{
	audit.Created: Configured, audit.Started: Running, audit.Resumed: Running,
	audit.Stopped: Stopped, audit.Failed: Failed,
}

// event describes a change to a box for the audit log.
func (r Record) event(t audit.Type) audit.Event {
	c, s := r.Config, r.State
	e := audit.Event{Type: t, Box: r.ID, Name: c.Name, Image: c.Image, ImageDigest: s.ImageDigest, Run: s.Runs}
	switch t {
	case audit.Created, audit.Removed:
		e.Run, e.ImageDigest = 0, c.ImageDigest // they happen once in a box's life
	case audit.Started:
		e.Engine, e.Accelerator, e.Isolation = s.Engine, s.Accelerator, s.Isolation
		e.Security = string(s.Jail.Security)
		for _, l := range s.Jail.Layers {
			e.Jail = append(e.Jail, string(l))
		}
		if len(s.Args) > 0 {
			e.Command = s.Args[0]
		}
	case audit.Stopped, audit.Failed:
		e.FinishedAt = s.FinishedAt
		if s.Exit != nil {
			e.Exit = &audit.Exit{Reason: s.Exit.Reason, Code: -1, Signal: s.Exit.Signal}
			if s.Exit.Code != nil {
				e.Exit.Code = *s.Exit.Code
			}
		}
		if s.Error != nil {
			e.Error, e.Hint = s.Error.Message, s.Error.Hint
		}
	}
	return e
}

// note is what fileUnrecorded holds: an event and, of a box that is renamed, its
// name before.
type note struct {
	event        audit.Type
	previousName string
}

// happened reports whether it came to the event that is noted of a box.
func (n note) happened(r Record) bool {
	if n.event == audit.Renamed {
		return r.Config.Name != n.previousName
	}
	return n.event != "" && leadsTo[n.event] == r.State.Status
}

// of describes the event for the audit log.
func (n note) of(r Record) audit.Event {
	e := r.event(n.event)
	e.PreviousName = n.previousName
	return e
}

// mark notes that an event will have happened, and must then be recorded.
func (l *Locked) mark(n note) {
	l.unrecorded = n
	text := string(n.event)
	if n.event == audit.Renamed {
		text += " " + n.previousName
	}
	// Without the note, which has no room on a full disk, only this process knows.
	_ = os.WriteFile(filepath.Join(l.Dir(), fileUnrecorded), []byte(text), 0o600)
}

// record records, with Append or AppendOnce, what mark has noted, now that it has
// happened.
func (l *Locked) record(add func(audit.Event) error) error {
	stage.Reached("record/"+string(l.unrecorded.event), l.Config.Label())
	if err := add(l.unrecorded.of(l.Record)); err != nil {
		return err
	}
	stage.Reached("recorded/"+string(l.unrecorded.event), l.Config.Label())
	l.unmark()
	return nil
}

// announce records an event before it happens.
func (l *Locked) announce(event audit.Type, state State) error {
	if err := l.recordLeft(); err != nil {
		return err
	}
	r := l.Record
	r.State = state
	return l.store.log.Append(r.event(event))
}

// recordLeft records what happened before the event that comes now.
func (l *Locked) recordLeft() error {
	if l.unrecorded.event == "" {
		return nil
	}
	return l.record(l.store.log.Append)
}

// unmark drops the note. A note that stays does no harm: an event is not
// recorded twice.
func (l *Locked) unmark() {
	l.unrecorded = note{}
	_ = os.RemoveAll(filepath.Join(l.Dir(), fileUnrecorded))
}

// catchUp records what the holder of the lock before did not come to. If that
// can't be done now, it is left to the next.
func (l *Locked) catchUp() {
	n := readUnrecorded(l.Dir())
	if n.event == "" {
		return
	}
	if !n.happened(l.Record) {
		l.unmark() // it did not come to the change either
		return
	}
	l.unrecorded = n
	if l.store.log.AppendOnce(n.of(l.Record)) == nil {
		l.unmark()
	}
}

// readUnrecorded returns what is noted in a box's folder, or nothing.
func readUnrecorded(dir string) note {
	f, err := os.Open(filepath.Join(dir, fileUnrecorded))
	if err != nil {
		return note{}
	}
	defer f.Close()
	text, _ := io.ReadAll(io.LimitReader(f, 64+maxName))
	event, name, renamed := strings.Cut(string(text), " ")
	n := note{event: audit.Type(event)}
	switch {
	case renamed && n.event == audit.Renamed && CheckName(name) == nil:
		n.previousName = name
		return n
	case !renamed && leadsTo[n.event] != "":
		return n
	}
	return note{event: "?"} // of a host that lost power: it leads nowhere, and is dropped
}

// isUnrecorded reports whether something may be left to record of a box.
func (s *Store) isUnrecorded(id string) bool {
	_, err := os.Lstat(filepath.Join(s.Dir(id), fileUnrecorded))
	return err == nil
}

// bury deletes the folder of a box that has lost its name, after recording that.
// What is large goes first: it makes room on a full disk. A folder whose end
// can't be recorded keeps its small rest until a Store is opened.
func (s *Store) bury(folder string, r Record, unrecorded note) error {
	dir := filepath.Join(s.dir, folder)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // another has buried it
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		switch e.Name() {
		case fileConfig, fileState, fileUnrecorded:
		default:
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	if unrecorded.happened(r) {
		if err := s.log.AppendOnce(unrecorded.of(r)); err != nil {
			return err
		}
	}
	if err := s.log.AppendOnce(r.event(audit.Removed)); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// exhume reads what is left of a box that is being deleted.
func (s *Store) exhume(folder string) (r Record, ok bool) {
	id, _, _ := strings.Cut(strings.TrimPrefix(folder, prefixGone), "-")
	if !strings.HasPrefix(folder, prefixGone) || !idPattern.MatchString(id) {
		return Record{}, false
	}
	dir := filepath.Join(s.dir, folder)
	r = Record{ID: id, State: State{Status: Unknown}}
	// What can't be read is left out of the event.
	_ = readJSON(filepath.Join(dir, fileConfig), &r.Config)
	_ = readJSON(filepath.Join(dir, fileState), &r.State)
	return r, true
}
