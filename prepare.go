package boxlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/boxlite-go/boxlite/internal/assets"
	"github.com/boxlite-go/boxlite/internal/box"
	"github.com/boxlite-go/boxlite/internal/disk"
	"github.com/boxlite-go/boxlite/internal/image"
	"github.com/boxlite-go/boxlite/internal/jail"
	"github.com/boxlite-go/boxlite/internal/network"
	"github.com/boxlite-go/boxlite/internal/protocol"
	"github.com/boxlite-go/boxlite/internal/shim"
	"github.com/boxlite-go/boxlite/internal/stage"
	"github.com/boxlite-go/boxlite/internal/vmm"
	"github.com/boxlite-go/boxlite/internal/vmm/engines"
)

// parts is what a machine is made from.
type parts struct {
	image     image.Image
	health    *shim.HealthCheck
	imageDisk string
	boot      assets.Boot
	machine   vmm.Capability
	jail      jail.Plan
	network   *network.Config // nil if the box has none
	stages    []box.Stage
}

// described adds to a state what is known of the parts.
func (p parts) described(s box.State) box.State {
	s.Engine, s.Accelerator = p.machine.Engine, p.machine.Accelerator
	return s
}

// prepare does at once what is needed before a machine can start: the image's
// disk, the box's own, the engine and what it boots, and the record that says
// that the box is starting.
func (rt *Runtime) prepare(ctx context.Context, l *box.Locked, state box.State) (parts, error) {
	var p parts
	record := l.Record
	var imageTime, diskTime, engineTime, jailTime time.Duration
	began := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		err := l.Set(state)
		stage.Reached("start/recorded", l.Config.Label())
		return err
	})
	g.Go(func() (err error) {
		if p.image, err = rt.imageOf(ctx, record); err == nil {
			p.imageDisk, err = rt.images.Disk(ctx, p.image, nil)
		}
		if err == nil {
			p.health, err = rt.healthCheck(record, p.image)
		}
		imageTime = time.Since(began)
		return err
	})
	g.Go(func() error {
		err := rt.makeDisk(record)
		stage.Reached("start/disk", l.Config.Label())
		diskTime = time.Since(began)
		return err
	})
	g.Go(func() (err error) {
		dir := filepath.Join(rt.home, "init", "rootfs")
		if p.boot, err = assets.Unpack(dir); err == nil {
			_, p.machine, err = engines.Select(ctx, filepath.Join(rt.home, "init"), record.Config.Engine)
		}
		engineTime = time.Since(began)
		return err
	})
	g.Go(func() (err error) {
		p.jail, err = rt.planJail(ctx, record.Config.Security, rt.boxes.Dir(record.ID))
		jailTime = time.Since(began)
		return err
	})
	g.Go(func() (err error) {
		p.network, err = rt.networkConfig(&record.Config)
		return err
	})
	err := g.Wait()
	stage.Reached("start/prepared", l.Config.Label())
	p.stages = []box.Stage{
		{Name: "image", Began: began.UTC(), Nanos: imageTime},
		{Name: "disk", Began: began.UTC(), Nanos: diskTime},
		{Name: "engine", Began: began.UTC(), Nanos: engineTime},
		{Name: "jail", Began: began.UTC(), Nanos: jailTime},
	}
	return p, err
}

// planJail finds out which layers this host gives, and whether they are enough.
func (rt *Runtime) planJail(ctx context.Context, security Security, dir string) (jail.Plan, error) {
	if security == SecurityOff {
		return jail.Plan{Security: SecurityOff}, nil
	}
	support, err := jail.Probe(ctx, rt.options.ShimPath)
	if err != nil {
		return jail.Plan{}, err
	}
	return support.Plan(cmp.Or(security, SecurityDefault), dir)
}

// imageOf returns the image of a box: the one that its disk belongs to, whatever
// its reference means by now.
func (rt *Runtime) imageOf(ctx context.Context, r box.Record) (image.Image, error) {
	options := image.PullOptions{Platform: r.Config.Platform}
	digest := imageDigest(r)
	if digest == "" {
		return rt.images.Resolve(ctx, r.Config.Image, options)
	}
	img, err := rt.images.Get(ctx, digest)
	if !errors.Is(err, ErrNotFound) {
		return img, err
	}
	// It was removed by force.
	img, err = rt.images.Resolve(ctx, r.Config.Image, options)
	if err == nil && img.Digest != digest && r.State.ImageDigest != "" {
		return img, &Error{
			Kind: ErrImage, Op: "start the box", Box: r.Config.Label(),
			Err:  fmt.Errorf("its image %s has been removed, and %s is another by now", digest, r.Config.Image),
			Hint: "fetch the image again by its digest with boxlite pull NAME@" + digest,
		}
	}
	return img, err
}

func (rt *Runtime) makeDisk(r box.Record) error {
	path := filepath.Join(rt.boxes.Dir(r.ID), fileDisk)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return disk.Create(path, r.Config.DiskBytes)
}

func (rt *Runtime) shimSpec(l *box.Locked, p parts, state box.State) shim.Spec {
	dir := l.Dir()
	console := filepath.Join(dir, fileConsole)
	for _, path := range []string{console, console + ".1"} {
		_ = os.Remove(path) // of the run before; without it the engine appends
	}
	mac := ""
	if p.network != nil {
		mac = protocol.GuestMAC.String()
	}
	return shim.Spec{
		BoxID: l.Config.Label(), Name: l.Config.Name, Run: state.Runs, Dir: dir, Machine: p.machine, Jail: p.jail, Network: p.network, Health: p.health, Detached: l.Config.Detach || rt.options.Detach,
		VM: vmm.Spec{
			Box:    l.ID,
			Kernel: p.boot.Kernel, Initrd: p.boot.Initrd,
			CPUs: l.Config.CPUs, MemoryMiB: l.Config.MemoryMiB, HugePages: l.Config.HugePages,
			Disks: []vmm.Disk{
				{Path: p.imageDisk, Serial: protocol.SerialImage, ReadOnly: true},
				{Path: filepath.Join(dir, fileDisk), Serial: protocol.SerialBox},
			},
			Console: console, MAC: mac,
		},
	}
}
