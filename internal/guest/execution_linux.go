package guest

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/guest/container"
	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

// execution is one command: its process and what it has written.
type execution struct {
	id      string
	request *boxlitev1.StartRequest // what it was started with
	out     *output
	child   *container.Child
	stdin   *os.File // nil if nothing can be written
	kills   *oomKills
	began   time.Time

	counters *counters

	timedOut atomic.Bool
	ended    atomic.Int64 // when, in Unix time and nanoseconds; 0 while it runs
}

// follow reads the child's output until it has ended and all is read.
func (e *execution) follow(ctx context.Context) {
	readers := make(chan struct{}, streamCount)
	streams := []*os.File{e.child.Stdout, e.child.Stderr}
	for i, f := range streams {
		go func() {
			e.read(ctx, i, f)
			readers <- struct{}{}
		}()
	}
	go func() {
		end := e.child.Wait()
		e.out.end()
		// A process that lives on in the background may hold the streams open.
		// What was written before the end is in the pipes: take that, and stop.
		for _, f := range streams {
			interrupt(f)
		}
		for range streams {
			<-readers
		}
		for i, f := range streams {
			e.drain(ctx, i, f)
		}
		if e.stdin != nil {
			_ = e.stdin.Close() // of a terminal it is closed already
		}
		usage := e.child.Usage()
		e.ended.Store(time.Now().UnixNano())
		e.out.finish(&boxlitev1.ExitStatus{
			Code: uint32(end.Code), Signal: uint32(end.Signal),
			OutOfMemory: e.kills.explain(end), TimedOut: e.timedOut.Load(),
			Usage: &boxlitev1.Usage{
				UserNanos: uint64(usage.UserTime), SystemNanos: uint64(usage.SystemTime), MaxMemoryBytes: usage.MaxMemory,
			},
		})
	}()
}

// widePipe is the size of the pipe of a command that fills it: the less often the
// CPU changes between command and agent, the faster both are.
const widePipe = 1 << 20

// read copies a stream until its end, or until interrupt. It holds no buffer while
// it waits: hundreds of commands may be silent.
func (e *execution) read(ctx context.Context, stream int, f *os.File) {
	if f == nil {
		return
	}
	widened := false
	raw, err := f.SyscallConn()
	for err == nil {
		var buf *[blockSize]byte
		var n int
		var readErr error
		err = raw.Read(func(fd uintptr) bool {
			buf = takeBuffer()
			n, readErr = readFD(int(fd), buf[:])
			if readErr == syscall.EAGAIN {
				giveBuffer(buf)
				return false
			}
			return true
		})
		if err != nil {
			return // interrupted; no buffer is held
		}
		e.counters.read(max(0, n))
		if n == blockSize && !widened {
			widened = true
			_ = raw.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, widePipe) }) // a terminal has none
		}
		if n >= leastWhole {
			e.out.push(ctx, stream, newBlock(buf, n))
		} else {
			e.out.write(ctx, stream, buf[:n])
			giveBuffer(buf)
		}
		if readErr != nil || n == 0 {
			return
		}
	}
}

// drain reads what is in the pipe without waiting for more, and closes it. A process
// that lives on may fill it for ever.
func (e *execution) drain(ctx context.Context, stream int, f *os.File) {
	if f == nil {
		return
	}
	defer f.Close()
	resume(f)
	raw, err := f.SyscallConn()
	if err != nil {
		return
	}
	buf := takeBuffer()
	defer giveBuffer(buf)
	for rest := 0; rest < maxRest; {
		var n int
		var readErr error
		if err := raw.Read(func(fd uintptr) bool {
			n, readErr = readFD(int(fd), buf[:])
			return true
		}); err != nil {
			return
		}
		if readErr != nil || n == 0 {
			return
		}
		rest += n
		e.counters.read(n)
		e.out.write(ctx, stream, buf[:n])
	}
}

// readFD is read(2), again if a signal has come between. It returns no negative
// length.
func readFD(fd int, p []byte) (int, error) {
	for {
		n, err := syscall.Read(fd, p)
		if err != syscall.EINTR {
			return max(0, n), err
		}
	}
}

// interrupt ends a blocked read of f, and all later ones until resume.
func interrupt(f *os.File) {
	if f != nil {
		_ = f.SetReadDeadline(time.Unix(1, 0))
	}
}

func resume(f *os.File) { _ = f.SetReadDeadline(time.Time{}) }

func (e *execution) signal(number uint32, group bool) error {
	if number == 0 || number > 64 {
		return &protocol.Error{
			Kind: protocol.KindInvalidArgument, Op: "signal the command", Err: fmt.Errorf("no signal has number %d", number),
		}
	}
	if group {
		return e.child.SignalGroup(syscall.Signal(number))
	}
	return e.child.Signal(syscall.Signal(number))
}

func (e *execution) resize(size *boxlitev1.TerminalSize) error {
	return e.child.Resize(clampSize(size.GetRows()), clampSize(size.GetCols()))
}

func clampSize(n uint32) uint16 { return uint16(min(n, 1<<16-1)) }
