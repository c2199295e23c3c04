package container

import (
	"errors"
	"runtime"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// TestLoadDeviceProgramDespiteSignals loads it while the thread gets one signal after another,
// as from Go's runtime when it is busy.
func TestLoadDeviceProgramDespiteSignals(t *testing.T) {
	fd, err := loadDeviceProgram()
	if errors.Is(err, unix.EPERM) {
		t.Skip("programs can't be loaded here: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	_ = unix.Close(fd)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	process, thread := unix.Getpid(), unix.Gettid()
	var isOver atomic.Bool
	over := make(chan struct{})
	go func() {
		defer close(over)
		for !isOver.Load() {
			_ = unix.Tgkill(process, thread, unix.SIGURG)
		}
	}()
	for range 2000 {
		fd, err := loadDeviceProgram()
		if err != nil {
			t.Error(err)
			break
		}
		_ = unix.Close(fd)
	}
	isOver.Store(true)
	<-over
}
