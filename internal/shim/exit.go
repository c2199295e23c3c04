package shim

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

// How a run can end: the reasons of an exit record.
const (
	// ReasonExited means that the main process ended by itself.
	ReasonExited = "exited"
	// ReasonStopped means that the box was asked to stop, and did.
	ReasonStopped = "stopped"
	// ReasonKilled means that the machine was ended at once, as asked.
	ReasonKilled = "killed"
	// ReasonOOM means that the guest had no memory left, so that its kernel killed
	// the main process.
	ReasonOOM = "oom"
	// ReasonHostOOM means that the host had none, or none that the box may have,
	// so that its kernel killed the virtual machine.
	ReasonHostOOM = "host-oom"
	// ReasonPanic means that the guest's kernel panicked.
	ReasonPanic = "panic"
	// ReasonVMM means that the virtual machine ended unasked.
	ReasonVMM = "vmm"
	// ReasonFailed means that the box did not get to run.
	ReasonFailed = "failed"
)

// ReadExit returns how the last run of a box ended, from the folder of the box.
// It returns fs.ErrNotExist if no run has ended, or the shim was killed.
func ReadExit(dir string) (*boxlitev1.ExitRecord, error) {
	data, err := os.ReadFile(filepath.Join(dir, fileExit))
	if err != nil {
		return nil, err
	}
	record := &boxlitev1.ExitRecord{}
	if err := protojson.Unmarshal(data, record); err != nil {
		return nil, &protocol.Error{Kind: protocol.KindStorage, Op: "read " + filepath.Join(dir, fileExit), Err: err}
	}
	return record, nil
}

func writeExit(dir string, record *boxlitev1.ExitRecord) error {
	record.UnixNanos = time.Now().UnixNano()
	data, err := protojson.MarshalOptions{Multiline: true}.Marshal(record)
	if err != nil {
		return err
	}
	return renameio.WriteFile(filepath.Join(dir, fileExit), append(data, '\n'), 0o600, renameio.WithTempDir(dir))
}

// clearRun removes what the last run left, so that it can't be taken for this
// one's.
func clearRun(dir string) error {
	for _, name := range []string{fileExit, fileHealth, fileIdentity, fileSocket, filePortal} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
