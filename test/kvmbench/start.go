package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/boxlite-go/boxlite/internal/assets"
	"github.com/boxlite-go/boxlite/internal/disk"
	"github.com/boxlite-go/boxlite/internal/image"
	"github.com/boxlite-go/boxlite/internal/jail"
	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/protocol/rpc"
	"github.com/boxlite-go/boxlite/internal/vmm"
	"github.com/boxlite-go/boxlite/internal/vmm/engines"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/guesttest"
	"github.com/boxlite-go/boxlite/test/measure"
)

// firstEntry is how long it may take from the start of a VMM to the first entry of its
// guest, where KVM is not emulated itself.
const firstEntry = 30 * time.Millisecond

// plans are the whole jail, and none.
func plans(ctx context.Context) (whole, none jail.Plan, err error) {
	support, err := jail.Probe(ctx, "")
	if err != nil {
		return whole, none, err
	}
	whole, err = support.Plan(jail.Default, fmt.Sprintf("kvmbench%d", os.Getpid()))
	return whole, jail.Plan{Security: jail.Off}, err
}

// first measures how long our VMM takes until its guest is first entered, with a guest
// that does nothing. It needs no KVM that runs real guests.
func (b *bench) first(ctx context.Context) error {
	whole, none, err := plans(ctx)
	if err != nil {
		return err
	}
	spec := vmm.Spec{
		Box: "kvmbench", CPUs: 1, MemoryMiB: 512, MAC: protocol.GuestMAC.String(),
		Kernel: b.scratch + "/tiny", Initrd: b.scratch + "/none", Console: b.scratch + "/tiny.log",
		Disks: []vmm.Disk{{Path: b.scratch + "/tiny.img", Serial: "tiny"}},
	}
	for path, content := range map[string][]byte{
		spec.Kernel: guesttest.Kernel(guesttest.Forever), spec.Initrd: []byte("initrd"), spec.Disks[0].Path: make([]byte, 1<<20),
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return err
		}
	}
	fastest := [2]time.Duration{time.Hour, time.Hour} // which a busy host does not change much
	took, err := inTurn(b.runs, func(i int) (time.Duration, error) {
		var m vmm.Machine
		d, err := measure.Timed(func() (err error) {
			m, err = kvm.Engine{}.Start(ctx, spec, [2]jail.Plan{whole, none}[i])
			return err
		})
		if err == nil {
			fastest[i] = min(fastest[i], d)
			err = end(m)
		}
		return d, err
	})
	if err != nil {
		return err
	}
	bar := "≤ 30 ms"
	if os.Getenv("LAB") == "/lab" { // whose processor is emulated
		bar = "-"
	}
	measure.Row("VMM process start → first vCPU entry", ms(took[0])+", the fastest "+ms(fastest[0]),
		"without a jail "+ms(took[1])+", the fastest "+ms(fastest[1]), bar, took[0] <= firstEntry)
	return nil
}

// end ends a machine of whose network nobody makes use.
func end(m vmm.Machine) error {
	err := m.Kill()
	m.Wait()
	if n := m.Network(); n != nil {
		err = errors.Join(err, n.Close())
	}
	return err
}

// boot compares how long machines take from the start of their VMM until the agent
// answers.
func (b *bench) boot(ctx context.Context) error {
	whole, _, err := plans(ctx)
	if err != nil {
		return err
	}
	spec, err := b.machine(ctx)
	if err != nil {
		return err
	}
	var with [2]vmm.Engine
	for i, name := range names {
		if with[i], _, err = engines.Select(ctx, b.scratch, name); err != nil {
			return err
		}
	}
	took, err := inTurn(b.runs, func(i int) (time.Duration, error) {
		// Nothing of the box before is in the disk.
		box := spec.Disks[len(spec.Disks)-1].Path
		if err := errors.Join(os.RemoveAll(box), disk.Create(box, 10<<30)); err != nil {
			return 0, err
		}
		return untilPing(ctx, with[i], spec, whole)
	})
	if err != nil {
		return err
	}
	ratio := float64(took[0]) / float64(took[1])
	measure.Row("VMM start → agent answers Ping", ms(took[0]), fmt.Sprintf("QEMU %s: %.2f ×", ms(took[1]), ratio), "≤ 0.8 ×", ratio <= 0.8)
	return nil
}

// machine describes a machine like that of a box.
func (b *bench) machine(ctx context.Context) (vmm.Spec, error) {
	files, err := assets.Unpack(b.scratch + "/boot")
	if err != nil {
		return vmm.Spec{}, err
	}
	store, err := image.Open(b.scratch+"/images", image.Options{
		Embedded: image.Embedded{Reference: assets.BaseReference, Rootfs: assets.BaseImage, Config: assets.BaseConfig()},
	})
	if err != nil {
		return vmm.Spec{}, err
	}
	img, err := store.Pull(ctx, assets.BaseReference, image.PullOptions{})
	if err != nil {
		return vmm.Spec{}, err
	}
	imageDisk, err := store.Disk(ctx, img, nil)
	if err != nil {
		return vmm.Spec{}, err
	}
	return vmm.Spec{
		Box: "kvmbench", Kernel: files.Kernel, Initrd: files.Initrd, CPUs: 1, MemoryMiB: 512, MAC: protocol.GuestMAC.String(),
		Console: filepath.Join(b.scratch, "console.log"),
		Disks: []vmm.Disk{
			{Path: imageDisk, Serial: protocol.SerialImage, ReadOnly: true},
			{Path: filepath.Join(b.scratch, "box.img"), Serial: protocol.SerialBox},
		},
	}, nil
}

func untilPing(ctx context.Context, engine vmm.Engine, spec vmm.Spec, plan jail.Plan) (time.Duration, error) {
	began := time.Now()
	m, err := engine.Start(ctx, spec, plan)
	if err != nil {
		return 0, err
	}
	err = ping(ctx, m)
	took := time.Since(began)
	return took, errors.Join(err, end(m))
}

// ping reaches the agent as the shim does.
func ping(ctx context.Context, m vmm.Machine) error {
	conn, err := m.Portal().Dial(ctx, protocol.PortAgent)
	if err != nil {
		return err
	}
	client, err := grpc.NewClient("passthrough:///agent",
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy(),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return conn, nil }))
	if err != nil {
		_ = conn.Close()
		return err
	}
	defer client.Close()
	_, err = boxlitev1.NewGuestClient(client).Ping(ctx, &boxlitev1.PingRequest{})
	return rpc.FromStatus(err)
}
