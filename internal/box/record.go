package box

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/boxlite-go/boxlite/internal/suggest"
)

// Record is a box as its files have it.
type Record struct {
	ID     string
	Config Config
	State  State
	// Err says what is wrong with the record's files. The status is then Unknown.
	Err error
}

// IDs returns the IDs of all boxes.
func (s *Store) IDs() ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, e := range entries {
		if e.IsDir() && idPattern.MatchString(e.Name()) {
			ids = append(ids, e.Name())
		}
	}
	return ids, nil
}

func (s *Store) config(id string) (Config, error) {
	var config Config
	path := filepath.Join(s.Dir(id), fileConfig)
	if err := readJSON(path, &config); err != nil {
		return Config{ID: id}, err
	}
	switch {
	case config.ID != id:
		return Config{ID: id}, fmt.Errorf("%s is of box %.20q", path, config.ID)
	case config.Format > formatVersion:
		return Config{ID: id, Name: config.Name}, fmt.Errorf("%s has format %d, of a later version of BoxLite", path, config.Format)
	}
	return config, nil
}

func (s *Store) state(id string) (State, error) {
	var state State
	path := filepath.Join(s.Dir(id), fileState)
	if err := readJSON(path, &state); err != nil {
		return State{Status: Unknown}, err
	}
	if !state.Status.known() {
		return State{Status: Unknown}, fmt.Errorf("%s is damaged: no status is called %.20q", path, state.Status)
	}
	return state, nil
}

// Status returns what a box's record says that it is, without a look at whether
// that is still so. A record that can't be read says Unknown.
func (s *Store) Status(id string) Status {
	state, _ := s.state(id) // Unknown says enough
	return state.Status
}

// read returns a box's record as it is on disk.
func (s *Store) read(id string) (Record, error) {
	if _, err := os.Lstat(s.Dir(id)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return Record{}, notFound(id)
		}
		return Record{}, storageError("look up the box", id, err)
	}
	config, configErr := s.config(id)
	state, stateErr := s.state(id)
	r := Record{ID: id, Config: config, State: state}
	if err := errors.Join(configErr, stateErr); err != nil {
		if _, gone := os.Lstat(s.Dir(id)); errors.Is(gone, fs.ErrNotExist) {
			return Record{}, notFound(id) // removed meanwhile
		}
		r.State.Status = Unknown
		r.Err = &protocol.Error{
			Kind: protocol.KindStorage, Op: "read the box's record", Box: id, Err: err,
			Hint: "restore the file, or remove the box with: boxlite rm -f " + id,
		}
	}
	return r, nil
}

// Load returns the record of the box with this ID. If it says that the box runs
// and no shim does, that is put right first.
func (s *Store) Load(ctx context.Context, id string) (Record, error) {
	r, err := s.read(id)
	if err != nil {
		return r, err
	}
	return s.settled(ctx, r)
}

// List returns all boxes, oldest first. One whose record is damaged has
// Record.Err set.
func (s *Store) List(ctx context.Context) ([]Record, error) {
	ids, err := s.IDs()
	if err != nil {
		return nil, storageError("list the boxes", "", err)
	}
	records := make([]Record, 0, len(ids))
	for _, id := range ids {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		r, err := s.Load(ctx, id)
		if errors.Is(err, protocol.KindNotFound) {
			continue // removed meanwhile
		}
		if err != nil {
			r.Err = err
		}
		records = append(records, r)
	}
	slices.SortFunc(records, func(a, b Record) int {
		return cmp.Or(a.Config.CreatedAt.Compare(b.Config.CreatedAt), strings.Compare(a.ID, b.ID))
	})
	return records, nil
}

// Find returns the ID of the box that ref names: by its ID, its name, or a
// prefix of its ID that no other box has. What fits the earlier wins.
func (s *Store) Find(ref string) (string, error) {
	if idPattern.MatchString(ref) {
		if _, err := os.Lstat(s.Dir(ref)); err == nil {
			return ref, nil
		}
	}
	ids, err := s.IDs()
	if err != nil {
		return "", storageError("look up the box", ref, err)
	}
	var prefixed, names []string
	for _, id := range ids {
		// One whose config can't be read has lost its name, and is found by ID.
		if config, err := s.config(id); err == nil && config.Name != "" {
			if config.Name == ref {
				return id, nil
			}
			names = append(names, config.Name)
		}
		if ref != "" && strings.HasPrefix(id, ref) {
			prefixed = append(prefixed, id)
		}
	}
	switch len(prefixed) {
	case 0:
		return "", notFound(ref, names...)
	case 1:
		return prefixed[0], nil
	}
	return "", &protocol.Error{
		Kind: protocol.KindInvalidArgument, Op: "look up the box", Box: ref,
		Err:  fmt.Errorf("%d boxes have IDs that begin so: %s", len(prefixed), strings.Join(prefixed[:min(4, len(prefixed))], ", ")),
		Hint: "give more of the ID, or the box's name",
	}
}

// notFound says that there is no such box, and which one may have been meant.
func notFound(ref string, names ...string) error {
	hint := "list all boxes with: boxlite ls -a"
	if near := suggest.Closest(ref, names); near != "" {
		hint = "did you mean " + near + "?"
	}
	return &protocol.Error{
		Kind: protocol.KindNotFound, Op: "look up the box", Box: ref,
		Err: errors.New("there is no such box"), Hint: hint,
	}
}
