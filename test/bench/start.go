package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/boxlite-go/boxlite/internal/assets"
	"github.com/boxlite-go/boxlite/internal/jail"
	"github.com/boxlite-go/boxlite/internal/vmm"
	"github.com/boxlite-go/boxlite/internal/vmm/engines"
	"github.com/boxlite-go/boxlite/test/measure"
)

// trivialInit powers the machine off and does nothing else.
const trivialInit = `package main

import "syscall"

func main() { _ = syscall.Reboot(syscall.LINUX_REBOOT_CMD_POWER_OFF) }
`

// start compares `boxlite run` of a box that does nothing with a bare boot of the
// same kernel by the same engine.
func (b *bench) start(ctx context.Context) error {
	boot, err := assets.Unpack(b.scratch + "/boot")
	if err != nil {
		return err
	}
	initrd, err := b.initrd(ctx, "trivial", trivialInit)
	if err != nil {
		return err
	}
	engine, _, err := engines.Select(ctx, b.scratch, "")
	if err != nil {
		return err
	}
	bare := func() (time.Duration, error) {
		return measure.Timed(func() error {
			machine, err := engine.Start(ctx, vmm.Spec{
				Kernel: boot.Kernel, Initrd: initrd, CPUs: 1, MemoryMiB: 512, Console: b.scratch + "/console.log",
			}, jail.Plan{})
			if err != nil {
				return err
			}
			if outcome := machine.Wait(); outcome.Reason != vmm.ReasonOff {
				return fmt.Errorf("the bare guest ended by %s: %w", outcome.Reason, outcome.Err)
			}
			return nil
		})
	}
	run := func() (time.Duration, error) {
		return measure.Timed(func() error { return b.cli(ctx, "run", "--rm", "boxlite/base", "true") })
	}
	whole, plain, err := measure.InTurn(b.runs, run, bare)
	if err != nil {
		return err
	}
	ratio := float64(whole) / float64(plain)
	measure.Row("`boxlite run boxlite/base true`", ms(whole), fmt.Sprintf("bare boot %s: %.2f ×", ms(plain), ratio), "≤ 1.6 ×", ratio <= 1.6)
	return nil
}

// cli runs the boxlite command in the benchmark's home.
func (b *bench) cli(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, b.binary, args...)
	cmd.Env = append(os.Environ(), "BOXLITE_HOME="+b.home)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", cmd, err, out)
	}
	return nil
}

// initrd builds an initramfs with nothing in it but a program.
func (b *bench) initrd(ctx context.Context, name, text string) (string, error) {
	dir := filepath.Join(b.scratch, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	source := filepath.Join(dir, "main.go")
	if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
		return "", err
	}
	program := filepath.Join(dir, "init")
	build := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w", "-o", program, source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	content, err := os.ReadFile(program)
	if err != nil {
		return "", err
	}
	initrd := filepath.Join(dir, "initrd.cpio")
	f, err := os.Create(initrd)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return initrd, assets.WriteInitrd(f, int64(len(content)), func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}
