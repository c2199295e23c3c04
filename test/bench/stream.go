package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/boxlite-go/boxlite/internal/assets"
	"github.com/boxlite-go/boxlite/internal/jail"
	"github.com/boxlite-go/boxlite/internal/vmm"
	"github.com/boxlite-go/boxlite/internal/vmm/engines"
	"github.com/boxlite-go/boxlite/test/measure"
)

// streamed is how much a guest sends to the host.
const streamed = 256 << 20

// streamRuns is enough for what takes seconds.
const streamRuns = 5

// floodInit sends, for each byte that comes through the virtio-serial port, as much
// as is streamed, in writes of 64 KiB, as large as a pipe.
const floodInit = `package main

import (
	"os"
	"path/filepath"
	"syscall"
)

func main() {
	for _, m := range []string{"sysfs", "devtmpfs"} {
		os.Mkdir("/"+m, 0o700)
		syscall.Mount(m, "/"+m, m, 0, "")
	}
	ports, _ := filepath.Glob("/devtmpfs/vport*")
	port, err := os.OpenFile(ports[0], os.O_RDWR, 0)
	if err != nil {
		panic(err)
	}
	buf := make([]byte, 64<<10)
	for {
		if _, err := port.Read(buf[:1]); err != nil {
			panic(err)
		}
		for left := %d; left > 0; left -= len(buf) {
			if _, err := port.Write(buf); err != nil {
				panic(err)
			}
		}
	}
}
`

// stream compares what a command writes to its standard output with the same
// amount sent through the bare virtio-serial port of a machine like the box's.
func (b *bench) stream(ctx context.Context) error {
	box, stop, err := b.box(ctx)
	if err != nil {
		return err
	}
	defer stop()
	port, stopFlood, err := b.floodMachine(ctx)
	if err != nil {
		return err
	}
	defer stopFlood()
	command := func() (time.Duration, error) {
		return measure.Timed(func() error {
			c := box.Command("dd", "if=/dev/zero", "bs=1M", "count="+strconv.Itoa(streamed>>20))
			n := measure.Counter(0)
			c.Stdout = &n
			if err := c.Run(ctx); err != nil {
				return err
			}
			if n != streamed {
				return fmt.Errorf("%d bytes came of %d", n, streamed)
			}
			return nil
		})
	}
	raw := func() (time.Duration, error) {
		return measure.Timed(func() error {
			if _, err := port.Write([]byte{1}); err != nil {
				return err
			}
			_, err := io.CopyN(io.Discard, port, streamed)
			return err
		})
	}
	out, bare, err := measure.InTurn(min(b.runs, streamRuns), command, raw)
	if err != nil {
		return err
	}
	share := 100 * float64(bare) / float64(out)
	measure.Row("stdout of a command, 256 MiB", speed(out), fmt.Sprintf("the raw virtio-serial port %s: %.0f %%", speed(bare), share), "≥ 60 %", share >= 60)
	return box.Stop(ctx)
}

func speed(d time.Duration) string {
	return fmt.Sprintf("%.0f MB/s", streamed/1e6/d.Seconds())
}

// descriptor is how QEMU is told which of its files is what.
var descriptor = regexp.MustCompile(`\bfd=(\d+)`)

// floodMachine starts a machine with floodInit, with the very arguments that the
// engine gives to QEMU, but with the port in our own hands.
func (b *bench) floodMachine(ctx context.Context) (port *os.File, stop func(), err error) {
	boot, err := assets.Unpack(b.scratch + "/boot")
	if err != nil {
		return nil, nil, err
	}
	initrd, err := b.initrd(ctx, "flood", fmt.Sprintf(floodInit, streamed))
	if err != nil {
		return nil, nil, err
	}
	engine, _, err := engines.Select(ctx, b.scratch, "")
	if err != nil {
		return nil, nil, err
	}
	machine, err := engine.Start(ctx, vmm.Spec{
		Kernel: boot.Kernel, Initrd: initrd, CPUs: 1, MemoryMiB: 512, Console: b.scratch + "/console.log",
	}, jail.Plan{})
	if err != nil {
		return nil, nil, err
	}
	proc := "/proc/" + strconv.Itoa(machine.PID())
	line, err := os.ReadFile(proc + "/cmdline")
	if err == nil {
		var program string
		if program, err = os.Readlink(proc + "/exe"); err == nil {
			port, stop, err = startFlood(ctx, program, strings.Split(strings.TrimRight(string(line), "\x00"), "\x00"))
		}
	}
	_ = machine.Kill()
	machine.Wait()
	return port, stop, err
}

func startFlood(ctx context.Context, program string, args []string) (port *os.File, stop func(), err error) {
	cmd := exec.CommandContext(ctx, program)
	cmd.Args = args
	var theirs []*os.File
	defer func() {
		for _, f := range theirs {
			_ = f.Close()
		}
	}()
	var ours []*os.File
	for i, arg := range args {
		if !descriptor.MatchString(arg) {
			continue
		}
		var f *os.File
		if strings.HasPrefix(arg, "socket,") {
			pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
			if err != nil {
				return nil, nil, err
			}
			syscall.CloseOnExec(pair[0])
			syscall.CloseOnExec(pair[1])
			f = os.NewFile(uintptr(pair[0]), "theirs")
			end := os.NewFile(uintptr(pair[1]), "ours")
			ours = append(ours, end)
			if strings.Contains(arg, "id=portal") {
				port = end
			}
		} else if f, err = os.OpenFile(os.DevNull, os.O_WRONLY|os.O_APPEND, 0); err != nil {
			return nil, nil, err
		}
		theirs = append(theirs, f)
		cmd.Args[i] = descriptor.ReplaceAllString(arg, "fd="+strconv.Itoa(2+len(theirs)))
	}
	cmd.ExtraFiles, cmd.Stderr = theirs, os.Stderr
	if port == nil {
		return nil, nil, fmt.Errorf("the engine's machine has no port that is known here: %q", args)
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	return port, func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		for _, f := range ours {
			_ = f.Close()
		}
	}, nil
}
