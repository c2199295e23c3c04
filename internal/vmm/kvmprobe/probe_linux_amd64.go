package kvmprobe

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	device = "/dev/kvm"
	// apiVersion is the one that KVM has had since Linux 2.6.22.
	apiVersion = 12
	// attempts are for guests that are too slow. If this host is a virtual machine, what it
	// does not get from its own host looks as if the guest had used it.
	attempts = 3
)

// limits are those of one attempt.
type limits struct {
	// stall is how much of the processor the guest may use from one step to the next. Where
	// KVM works, that is some microseconds.
	stall time.Duration
	// total is for hosts that are so busy that the guest hardly gets a processor, and for
	// kernels that do not answer.
	total time.Duration
}

var first = limits{stall: 180 * time.Millisecond, total: 2 * time.Second}

// Probe runs a small guest on /dev/kvm and returns nil if it did all that
// ordinary guests do. Otherwise the error is a *protocol.Error of kind
// UnsupportedEngine whose hint says what to do, and wraps one of this package's
// errors; or the context's.
//
// A guest that is too slow gets another chance, and twice as long, so that a busy moment is
// not mistaken for a KVM that does not work: boxes would be emulated. One that never gets
// beyond the same step is none that could be faster.
func Probe(ctx context.Context) error {
	return probe(ctx, func(l limits) error {
		kvm, err := openDevice()
		if err != nil {
			return err
		}
		return attempt(ctx, kvm, guestCode, l)
	})
}

// probe makes attempts until one says for sure what there is.
func probe(ctx context.Context, attempt func(limits) error) (err error) {
	var stalls []byte // the steps after which guests did nothing more
	for n := range attempts {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		err = attempt(limits{first.stall << n, first.total << n})
		if !errors.Is(err, ErrTooSlow) || errors.Is(err, errStuck) {
			return err
		}
		if s, ok := errors.AsType[*stopped](err); ok && errors.Is(s.cause, errStalled) {
			stalls = append(stalls, s.step)
		}
	}
	if s, ok := errors.AsType[*stopped](err); ok && len(stalls) == attempts && len(slices.Compact(stalls)) == 1 {
		return fail(ErrGuest, s)
	}
	return err
}

func openDevice() (*os.File, error) {
	kvm, err := os.OpenFile(device, os.O_RDWR, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
		return nil, fail(ErrNoDevice, nil)
	case errors.Is(err, fs.ErrPermission):
		return nil, fail(ErrPermission, nil)
	case err != nil:
		return nil, fail(ErrCreate, err)
	}
	return kvm, nil
}

var errStuck = errors.New("it can't be stopped")

// attempt runs code as a guest. It closes kvm.
func attempt(ctx context.Context, kvm *os.File, code []byte, l limits) error {
	limited, cancel := context.WithTimeout(ctx, l.total)
	result := make(chan error, 1)
	go func() {
		defer cancel()
		defer kvm.Close()
		m, err := newMachine(int(kvm.Fd()), code)
		if err == nil {
			defer m.close() // takes longer than the probe, and nobody needs to wait for it
			err = m.cpu.run(limited, l.stall)
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
		case <-time.After(l.stall):
			err = fail(ErrTooSlow, errStuck)
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
