package kvmprobe

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	device = "/dev/kvm"
	// stallLimit is how much of the processor the guest may use from one step to
	// the next. Where KVM works, that is some microseconds.
	stallLimit = 180 * time.Millisecond
	// totalLimit is for hosts that are so busy that the guest hardly gets a
	// processor, and for kernels that do not answer.
	totalLimit = 2 * time.Second
	// apiVersion is the one that KVM has had since Linux 2.6.22.
	apiVersion = 12
)

// Probe runs a small guest on /dev/kvm and returns nil if it did all that
// ordinary guests do. Otherwise the error is a *protocol.Error of kind
// UnsupportedEngine whose hint says what to do, and wraps one of this package's
// errors; or the context's.
func Probe(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	kvm, err := os.OpenFile(device, os.O_RDWR, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
		return fail(ErrNoDevice, nil)
	case errors.Is(err, fs.ErrPermission):
		return fail(ErrPermission, nil)
	case err != nil:
		return fail(ErrCreate, err)
	}
	return probe(ctx, kvm, guestCode)
}

// probe runs code as a guest. It closes kvm.
func probe(ctx context.Context, kvm *os.File, code []byte) error {
	limited, cancel := context.WithTimeout(ctx, totalLimit)
	result := make(chan error, 1)
	go func() {
		defer cancel()
		defer kvm.Close()
		m, err := newMachine(int(kvm.Fd()), code)
		if err == nil {
			defer m.close() // takes longer than the probe, and nobody needs to wait for it
			err = m.cpu.run(limited)
		}
		result <- err
	}()
	var err error
	select {
	case err = <-result:
	case <-limited.Done():
		// The guest is being stopped. A kernel that can't even do that must not
		// stop us: the goroutine is left to it.
		select {
		case err = <-result:
		case <-time.After(stallLimit):
			err = fail(ErrTooSlow, errors.New("it can't be stopped"))
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// Fingerprint changes with all that tells this process what it may do with
// /dev/kvm, short of trying.
func Fingerprint() string {
	var stat unix.Stat_t
	if err := unix.Stat(device, &stat); err != nil {
		return err.Error()
	}
	access := unix.Faccessat(unix.AT_FDCWD, device, unix.R_OK|unix.W_OK, unix.AT_EACCESS)
	return fmt.Sprintf("%d %d %o %d %d %v", stat.Dev, stat.Ino, stat.Mode, stat.Uid, stat.Gid, access)
}
