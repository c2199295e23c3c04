package audit

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/boxlite-go/boxlite/internal/durable"
	"github.com/boxlite-go/boxlite/internal/protocol"
)

const (
	fileName = "audit.jsonl"
	// olderSuffix is added to the name of a file that is full.
	olderSuffix = ".1"

	// maxFile is how large a file may get.
	maxFile = 64 << 20
	// maxFileOfBox is the same for the log of one box.
	maxFileOfBox = 8 << 20
	// onceWindow is how much of the log's end [Log.AppendOnce] looks at.
	onceWindow = 256 << 10
)

// Log is the log in a folder. Its methods may be called concurrently.
type Log struct {
	dir     string
	maxFile int64

	mu     sync.Mutex // held while adding, so that a process is in its own way but once
	counts map[Type]uint64
}

// New returns the log in dir, which is made when something is added to it. It
// can't fail: a host whose disk is full must be able to stop its boxes.
func New(dir string) *Log { return &Log{dir: dir, maxFile: maxFile} }

// OfBox returns the log in dir of what a box's network has refused: the box can make as
// much of that as it likes, and must not push other events out of the home's log.
func OfBox(dir string) *Log { return &Log{dir: dir, maxFile: maxFileOfBox} }

func (l *Log) path() string { return filepath.Join(l.dir, fileName) }

// Append adds an event, with the present time and this process's ID. The error
// is of kind Storage, or ResourceExhausted if the disk is full.
func (l *Log) Append(e Event) error { return l.add(e, false) }

// Count returns how many events of a type have been added by this Log.
func (l *Log) Count(t Type) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts[t]
}

// AppendOnce is Append for something that may have been recorded already: it does
// nothing if the end of the log has an event of this type, box and run. A box can
// be resumed many times in a run, but only once after each pause.
func (l *Log) AppendOnce(e Event) error { return l.add(e, true) }

func (l *Log) add(e Event, once bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.write(e, once)
	if err == nil {
		return nil
	}
	failed := &protocol.Error{
		Kind: protocol.KindStorage, Op: "record in the audit log that the box is " + string(e.Type), Box: e.Name, Err: err,
		Hint: "make " + l.path() + " a file that you may write to: nothing is started that can't be recorded",
	}
	switch e.Type {
	case Exec:
		failed.Op = "record in the audit log that a command is run"
	case CopiedIn, CopiedOut:
		failed.Op = "record in the audit log that files are copied"
	case Denied:
		failed.Op, failed.Hint = "record in the box's audit log what its network has refused", ""
	}
	if e.Name == "" {
		failed.Box = e.Box
	}
	if durable.IsFull(err) {
		failed.Kind, failed.Hint = protocol.KindResourceExhausted, durable.HintFull
	}
	return failed
}

func (l *Log) write(e Event, once bool) error {
	f, size, err := l.open()
	if err != nil {
		return err
	}
	defer f.Close() // and the lock with it
	if once {
		if found, err := has(f, size, e); found || err != nil {
			return err
		}
	}
	e.Time, e.PID = time.Now().UTC(), os.Getpid()
	line, err := encode(e)
	if err != nil {
		return err
	}
	if whole, err := endsWhole(f, size); err != nil {
		return err
	} else if !whole {
		line = append([]byte{'\n'}, line...)
	}
	if _, err = f.Write(line); err != nil {
		return err
	}
	if l.counts == nil {
		l.counts = make(map[Type]uint64)
	}
	l.counts[e.Type]++
	return nil
}

// endsWhole reports whether the last line of a file has its end.
func endsWhole(f *os.File, size int64) (bool, error) {
	if size == 0 {
		return true, nil
	}
	var last [1]byte
	_, err := f.ReadAt(last[:], size-1)
	return last[0] == '\n', err
}

// has reports whether the end of a file has an event of the same type, box and
// run, after which the box was not paused.
func has(f *os.File, size int64, e Event) (found bool, err error) {
	start := max(0, size-onceWindow)
	end, err := io.ReadAll(io.NewSectionReader(f, start, size-start))
	if err != nil {
		return false, err
	}
	for line := range bytes.Lines(end) {
		if !bytes.Contains(line, []byte(e.Box)) {
			continue // most lines are of other boxes
		}
		old, err := parse(line)
		switch {
		case err != nil || old.Box != e.Box || old.Run != e.Run:
		case old.Type == e.Type:
			found = e.Type != Renamed || old.Name == e.Name // which it may be many times
		case old.Type == Paused:
			found = false
		}
	}
	return found, nil
}
