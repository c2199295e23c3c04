package shim

import (
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// identity tells one process from all others, those with the same ID later
// included. It is what shim.json holds.
type identity struct {
	PID int `json:"pid"`
	// Start is when the process started, in a unit of the system's own.
	Start   uint64 `json:"start"`
	Version int    `json:"version"`
	// Cgroups are the folders of the machine's cgroup, for whoever finds the shim dead.
	Cgroups []string `json:"cgroups,omitempty"`
}

func writeIdentity(dir string, cgroups []string) error {
	start, err := processStart(os.Getpid())
	if err != nil {
		return err
	}
	return writeJSON(filepath.Join(dir, fileIdentity), identity{
		PID: os.Getpid(), Start: start, Version: protocol.Version, Cgroups: cgroups,
	})
}

func readIdentity(dir string) (identity, error) {
	var id identity
	data, err := os.ReadFile(filepath.Join(dir, fileIdentity))
	if err == nil {
		err = json.Unmarshal(data, &id)
	}
	return id, err
}

// alive reports whether the process still runs.
func (id identity) alive() bool {
	start, err := processStart(id.PID)
	return err == nil && start == id.Start
}

// writeJSON replaces a file at once, durably.
func writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return renameio.WriteFile(path, append(data, '\n'), 0o600, renameio.WithTempDir(filepath.Dir(path)))
}

// PID returns the process ID of the shim that runs for the box in dir.
func PID(dir string) (int, error) {
	id, err := readIdentity(dir)
	if err == nil && !id.alive() {
		err = os.ErrProcessDone
	}
	return id.PID, err
}
