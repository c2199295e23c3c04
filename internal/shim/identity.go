package shim

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/boxlite-go/boxlite/internal/durable"
	"github.com/boxlite-go/boxlite/internal/protocol"
)

// maxIdentity bounds what is read of an identity.
const maxIdentity = 4 << 10

// identity tells one process from all others, those with the same ID later
// included. It is what shim.json holds.
//
// Who starts a shim writes it, before the shim is told what to do: a shim that
// does something can be found.
type identity struct {
	PID int `json:"pid"`
	// Start is when the process started, in the system's own words.
	Start   string `json:"start"`
	Version int    `json:"version"`
	// Cgroups are the folders of the machine's cgroup, for whoever finds the shim dead.
	Cgroups []string `json:"cgroups,omitempty"`
}

// identify returns the identity of a process of this version of BoxLite.
func identify(pid int) (identity, error) {
	start, err := processStart(pid)
	return identity{PID: pid, Start: start, Version: protocol.Version}, err
}

func writeIdentity(dir string, pid int, cgroups []string) error {
	id, err := identify(pid)
	if err != nil {
		return err
	}
	id.Cgroups = cgroups
	data, err := json.Marshal(id)
	if err != nil {
		return err
	}
	return durable.Replace(filepath.Join(dir, fileIdentity), append(data, '\n'))
}

// findShim returns the identity of the shim that last ran for the box in dir. If
// the file is lost or damaged, whoever listens at the shim's socket is it.
func findShim(dir string) (identity, error) {
	id, err := readIdentity(dir)
	if err == nil && id.alive() {
		return id, nil
	}
	conn, dialErr := dialUnix(dir, fileSocket)
	if dialErr != nil {
		return id, err
	}
	defer conn.Close()
	pid, err := peerOf(conn)
	if err != nil {
		return identity{}, err
	}
	return identify(pid)
}

func readIdentity(dir string) (identity, error) {
	var id identity
	f, err := os.Open(filepath.Join(dir, fileIdentity))
	if err != nil {
		return id, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxIdentity))
	if err == nil {
		err = json.Unmarshal(data, &id)
	}
	if err == nil && (id.PID <= 0 || id.Start == "") {
		err = errors.New("it names no process")
	}
	return id, err
}

// alive reports whether the process still runs.
func (id identity) alive() bool {
	start, err := processStart(id.PID)
	return err == nil && start == id.Start
}

// PID returns the process ID of the shim that runs for the box in dir.
func PID(dir string) (int, error) {
	id, err := findShim(dir)
	if err == nil && !id.alive() {
		err = os.ErrProcessDone
	}
	return id.PID, err
}
