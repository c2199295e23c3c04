package peers

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/boxlite-go/boxlite/internal/durable"
	"github.com/boxlite-go/boxlite/internal/protocol"
)

const (
	fileKey    = "key"
	suffixFile = ".json"
	keySize    = 32
	maxFile    = 4 << 10
)

// Membership is one shared network of a box. It holds the network's key.
type Membership struct {
	Name string `json:"name"`
	Dir  string `json:"dir"`
	Key  []byte `json:"key"`
}

// Prepare makes the folder of a shared network below dir, if it isn't there.
func Prepare(dir, name string) (Membership, error) {
	m := Membership{Name: name, Dir: filepath.Join(dir, name)}
	if err := os.MkdirAll(m.Dir, 0o700); err != nil {
		return m, folderError(name, err)
	}
	path := filepath.Join(m.Dir, fileKey)
	key, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		key, err = makeKey(path)
	}
	if err == nil && len(key) != keySize {
		err = fmt.Errorf("%s has %d bytes, and should have %d", path, len(key), keySize)
	}
	if err != nil {
		return m, folderError(name, err)
	}
	m.Key = key
	return m, nil
}

// makeKey makes a key that nobody has made yet; of several who try at once, all get
// the same.
func makeKey(path string) ([]byte, error) {
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // never fails
	fresh := fmt.Sprintf("%s.%x", path, key[:8])
	if err := durable.Replace(fresh, key); err != nil {
		return nil, err
	}
	defer os.Remove(fresh)
	if err := os.Link(fresh, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return os.ReadFile(path)
}

func folderError(name string, err error) error {
	return &protocol.Error{Kind: protocol.KindStorage, Op: "join the network " + name, Err: err}
}

// presence is what a box's file says.
type presence struct {
	// Port is where its shim listens, on 127.0.0.1.
	Port uint16 `json:"port"`
}

func (m Membership) announce(box string, port uint16) error {
	text, err := json.Marshal(presence{Port: port})
	if err != nil {
		return err
	}
	if err := durable.Replace(filepath.Join(m.Dir, box+suffixFile), text); err != nil {
		return folderError(m.Name, err)
	}
	return nil
}

// Leave removes the file of a box that does not run any more from all networks below
// dir.
func Leave(dir, box string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*", box+suffixFile))
	if err != nil {
		return err
	}
	var failed []error
	for _, f := range files {
		if err := os.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// find returns the name of a box, as it is written, and its port. Names of hosts are
// the same in any case.
func (m Membership) find(name string) (string, uint16, bool) {
	entries, err := os.ReadDir(m.Dir)
	if err != nil {
		return "", 0, false
	}
	for _, e := range entries {
		box, isBox := strings.CutSuffix(e.Name(), suffixFile)
		if !isBox || !strings.EqualFold(box, name) {
			continue
		}
		text, err := readBounded(filepath.Join(m.Dir, e.Name()))
		var p presence
		if err == nil && json.Unmarshal(text, &p) == nil && p.Port != 0 {
			return box, p.Port, true
		}
	}
	return "", 0, false
}

func readBounded(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s is too large", path)
	}
	return os.ReadFile(path)
}
