package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/boxlite-go/boxlite/internal/jail"
	"github.com/boxlite-go/boxlite/internal/vmm/child"
	"github.com/boxlite-go/boxlite/internal/vmm/qemu/qmp"
)

// minVersion is the first QEMU that has all we use; free page reporting came
// last.
var minVersion = qmp.Version{Major: 5, Minor: 1}

// tryProgram starts QEMU with all that a machine has but a guest, and with its
// CPU stopped. That tells whether this QEMU has it all.
func tryProgram(ctx context.Context, program, accelerator string) error {
	conn, theirs, err := child.SocketPair(syscall.SOCK_STREAM)
	if err != nil {
		return err
	}
	p, err := child.Launch(ctx, jail.Plan{}, jail.Process{
		Program: program, Args: append(bareArguments(accelerator, child.FirstFile), "-S"), Files: []*os.File{theirs},
	})
	_ = theirs.Close()
	if err != nil {
		_ = conn.Close()
		return err
	}
	client, err := qmp.New(ctx, conn, func(qmp.Event) {})
	_ = p.Kill()
	<-p.Exited()
	if err != nil {
		if text := p.Stderr.LastLine(); text != "" && ctx.Err() == nil {
			return errors.New(text)
		}
		return err
	}
	_ = client.Close()
	if v := client.Version(); v.Major < minVersion.Major || v.Major == minVersion.Major && v.Minor < minVersion.Minor {
		return fmt.Errorf("QEMU %v is older than %d.%d", v, minVersion.Major, minVersion.Minor)
	}
	return nil
}
