package shim

import (
	"io"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/boxlite-go/boxlite/internal/durable"
	"github.com/boxlite-go/boxlite/internal/jail"
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
	f, err := os.Open(filepath.Join(dir, fileExit))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxExit))
	if err != nil {
		return nil, err
	}
	record := &boxlitev1.ExitRecord{}
	if err := protojson.Unmarshal(data, record); err != nil {
		return nil, &protocol.Error{Kind: protocol.KindStorage, Op: "read " + filepath.Join(dir, fileExit), Err: err}
	}
	return record, nil
}

// maxExit bounds what is read of an exit record.
const maxExit = 1 << 20

// reservedExit is how much of the disk is set aside for the exit record while a
// box runs: however full its guest makes the disk, how it ended can be written.
const reservedExit = 16 << 10

// reserveExit sets space aside for the exit record.
func reserveExit(dir string) error {
	return os.WriteFile(filepath.Join(dir, fileExit+durable.Suffix), make([]byte, reservedExit), 0o600)
}

// writeExit writes the exit record where space was reserved for it.
func writeExit(dir string, record *boxlitev1.ExitRecord) error {
	record.UnixNanos = time.Now().UnixNano()
	data, err := protojson.MarshalOptions{Multiline: true}.Marshal(record)
	if err != nil {
		return err
	}
	data = append(data, '\n')
	path := filepath.Join(dir, fileExit)
	f, err := os.OpenFile(path+durable.Suffix, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteAt(data, 0); err != nil {
		return err
	}
	if err := f.Truncate(int64(len(data))); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return durable.Rename(f.Name(), path)
}

// Sweep removes what a shim that was killed has left: its machine's cgroup, and its
// files in the folder of its box, except for its logs and its exit record. The box's
// lock must be held.
func Sweep(dir string) error {
	if id, err := readIdentity(dir); err == nil {
		if err := jail.RemoveCgroups(id.Cgroups); err != nil {
			return &protocol.Error{Kind: protocol.KindEngine, Op: "remove the cgroup of the last run", Err: err}
		}
	}
	return removeAll(dir, fileSocket, filePortal, fileHealth, fileIdentity, fileIdentity+durable.Suffix, fileExit+durable.Suffix)
}

// Forget removes all that the last run left, how it ended too, but for its logs.
// The box's lock must be held.
func Forget(dir string) error {
	if err := Sweep(dir); err != nil {
		return err
	}
	return removeAll(dir, fileExit)
}

// removeAll removes files, or what stands in their places.
func removeAll(dir string, names ...string) error {
	for _, name := range names {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return &protocol.Error{Kind: protocol.KindStorage, Op: "clean up after the last run", Err: err}
		}
	}
	return nil
}
