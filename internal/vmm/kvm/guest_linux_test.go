//go:build amd64

package kvm_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
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
	"github.com/boxlite-go/boxlite/internal/vmm/kvm"
	"github.com/boxlite-go/boxlite/internal/vmm/kvmprobe"
)

// guestPatience bounds what is done with a guest: in the lab, it is slow.
const guestPatience = 5 * time.Minute

// realGuest describes a machine with the real kernel and agent, or skips the test where
// there can't be one.
func realGuest(t *testing.T, ctx context.Context) vmm.Spec {
	t.Helper()
	if err := kvmprobe.Probe(ctx); err != nil {
		t.Skip("no ordinary guest runs here:", err)
	}
	dir := t.TempDir()
	boot, err := assets.Unpack(filepath.Join(dir, "boot"))
	if err != nil {
		t.Fatal(err)
	}
	spec := vmm.Spec{
		Box: "test", CPUs: 1, MemoryMiB: 256, MAC: "5a:94:ef:e4:0c:ee",
		Kernel: boot.Kernel, Initrd: boot.Initrd, Console: filepath.Join(dir, "console"),
		Disks: []vmm.Disk{
			{Path: filepath.Join(dir, "image"), Serial: "image", ReadOnly: true},
			{Path: filepath.Join(dir, "box"), Serial: "box"},
		},
	}
	for _, d := range spec.Disks {
		if err := disk.Create(d.Path, disk.MinBytes); err != nil {
			t.Fatal(err)
		}
	}
	return spec
}

// agentOf returns gRPC to a machine's agent.
func agentOf(t *testing.T, m vmm.Machine) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///agent", grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy(),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return m.Portal().Dial(ctx, protocol.PortAgent)
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// wait is for calls that are made when the agent may not have answered yet.
var wait = grpc.WaitForReady(true)

// end kills a machine, and sees to it that nothing is left of it.
func end(t *testing.T, m vmm.Machine) {
	t.Helper()
	if err := m.Kill(); err != nil {
		t.Errorf("kill: %v", err)
	}
	m.Wait()
	if n := m.Network(); n != nil {
		_ = n.Close()
	}
	if err := syscall.Kill(m.PID(), 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d is left: %v", m.PID(), err)
	}
}

// TestRealGuestIsRestored: what the agent knows, and what it has written to a file, is there
// when its machine goes on in another process; twice.
func TestRealGuestIsRestored(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), guestPatience)
	defer cancel()
	spec := realGuest(t, ctx)
	spec.CPUs = 0
	for name, plan := range plans(t) {
		spec.CPUs++ // one, then two
		t.Run(name, func(t *testing.T) { saveRealGuest(t, ctx, spec, plan) })
		// The next one finds the disk as this one has left it.
		if err := errors.Join(os.Remove(spec.Disks[1].Path), disk.Create(spec.Disks[1].Path, disk.MinBytes)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRealGuestHasManyDisks has as many as there can be. The guest needs those at the end.
func TestRealGuestHasManyDisks(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), guestPatience)
	defer cancel()
	spec := realGuest(t, ctx)
	image, box := spec.Disks[0], spec.Disks[1]
	spec.Disks = nil
	for i := range vmm.MaxDisks - 2 {
		spec.Disks = append(spec.Disks, vmm.Disk{Path: image.Path, Serial: fmt.Sprint("disk", i), ReadOnly: true})
	}
	spec.Disks = append(spec.Disks, image, box)
	m, err := kvm.Engine{}.Start(ctx, spec, jail.Plan{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { end(t, m) }()
	agent := agentOf(t, m)
	prepare(t, ctx, spec, agent)
	change(t, ctx, agent, "/folder")
}

// TestRealGuestHasManyProcessors counts them in the guest.
func TestRealGuestHasManyProcessors(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), guestPatience)
	defer cancel()
	spec := realGuest(t, ctx)
	spec.CPUs, spec.MemoryMiB, spec.Disks[0].Path = 32, 512, baseDisk(t, ctx)
	m, err := kvm.Engine{}.Start(ctx, spec, jail.Plan{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { end(t, m) }()
	agent := agentOf(t, m)
	begin(t, ctx, spec, agent)
	if got := output(t, ctx, agent, "nproc"); got != "32\n" {
		t.Errorf("the guest has %q processors", got)
	}
}

// begin sets up guest and container, and starts that.
func begin(t *testing.T, ctx context.Context, spec vmm.Spec, agent *grpc.ClientConn) {
	t.Helper()
	prepare(t, ctx, spec, agent)
	if _, err := boxlitev1.NewContainerClient(agent).Start(ctx, &boxlitev1.ContainerStartRequest{}); err != nil {
		t.Fatal("start the container:", err)
	}
}

// prepare sets up guest and container.
func prepare(t *testing.T, ctx context.Context, spec vmm.Spec, agent *grpc.ClientConn) {
	t.Helper()
	if _, err := boxlitev1.NewGuestClient(agent).Init(ctx, &boxlitev1.GuestInitRequest{UnixNanos: time.Now().UnixNano()}, wait); err != nil {
		t.Fatalf("prepare the guest: %v\n%s", err, said(t, spec))
	}
	if _, err := boxlitev1.NewContainerClient(agent).Init(ctx, &boxlitev1.ContainerInitRequest{ImageDisk: "image", BoxDisk: "box"}); err != nil {
		t.Fatal("set up the container:", err)
	}
}

// TestRestoredGuestsDrawOtherNumbers restores a machine twice from the same file.
func TestRestoredGuestsDrawOtherNumbers(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), guestPatience)
	defer cancel()
	spec := realGuest(t, ctx)
	spec.Disks[0].Path = baseDisk(t, ctx)
	m, err := kvm.Engine{}.Start(ctx, spec, jail.Plan{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { end(t, m) }()
	agent := agentOf(t, m)
	begin(t, ctx, spec, agent)
	if err := m.Pause(ctx); err != nil {
		t.Fatal(err)
	}
	f := stateFile(t)
	if err := kvm.Save(ctx, m, f); err != nil {
		t.Fatal(err)
	}
	var drawn [2]string
	for i := range drawn {
		agent.Close()
		end(t, m)
		if m, err = (kvm.Engine{}).Restore(ctx, spec, f, jail.Plan{}); err != nil {
			t.Fatal(err)
		}
		agent = agentOf(t, m)
		drawn[i] = output(t, ctx, agent, "cat", "/proc/sys/kernel/random/uuid")
		if len(drawn[i]) != len("00000000-0000-0000-0000-000000000000\n") {
			t.Errorf("drew %q", drawn[i])
		}
	}
	if drawn[0] == drawn[1] {
		t.Errorf("both drew %q", drawn[0])
	}
}

// baseDisk returns the disk of the image that is part of BoxLite.
func baseDisk(t *testing.T, ctx context.Context) string {
	t.Helper()
	store, err := image.Open(t.TempDir(), image.Options{
		Embedded: image.Embedded{Reference: assets.BaseReference, Rootfs: assets.BaseImage, Config: assets.BaseConfig()},
	})
	if err != nil {
		t.Fatal(err)
	}
	base, err := store.Pull(ctx, assets.BaseReference, image.PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	path, err := store.Disk(ctx, base, nil)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// output runs a command, and returns what it writes.
func output(t *testing.T, ctx context.Context, agent *grpc.ClientConn, args ...string) string {
	t.Helper()
	stream, err := boxlitev1.NewExecutionClient(agent).Attach(ctx, wait)
	if err != nil {
		t.Fatal(err)
	}
	start := &boxlitev1.StartRequest{Process: &boxlitev1.Process{Args: protocol.Bytes(args)}}
	err = stream.Send(&boxlitev1.AttachRequest{Kind: &boxlitev1.AttachRequest_Open{
		Open: &boxlitev1.AttachOpen{Target: &boxlitev1.AttachOpen_Start{Start: start}},
	}})
	var text []byte
	for err == nil {
		var r *boxlitev1.AttachResponse
		if r, err = stream.Recv(); r.GetExited() != nil {
			return string(text)
		}
		text = append(text, r.GetStdout().GetData()...)
	}
	t.Fatalf("run %q: %v", args, rpc.FromStatus(err))
	return ""
}

func saveRealGuest(t *testing.T, ctx context.Context, spec vmm.Spec, plan jail.Plan) {
	since := time.Now()
	lap := func(what string) {
		t.Logf("%s: %v", what, time.Since(since).Round(time.Millisecond))
		since = time.Now()
	}
	m, err := kvm.Engine{}.Start(ctx, spec, plan)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { end(t, m) }()
	agent := agentOf(t, m)
	prepare(t, ctx, spec, agent)
	change(t, ctx, agent, "/0")
	lap("boot")
	if err := m.Pause(ctx); err != nil {
		t.Fatal(err)
	}
	lap("pause")
	for round := range 3 {
		f := stateFile(t)
		if err := kvm.Save(ctx, m, f); err != nil {
			t.Fatal(err)
		}
		lap("save")
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("it takes %d KiB", info.Sys().(*syscall.Stat_t).Blocks/2)
		agent.Close()
		end(t, m)
		lap("kill")
		if m, err = (kvm.Engine{}).Restore(ctx, spec, f, plan); err != nil {
			t.Fatal(err)
		}
		lap("restore")
		agent = agentOf(t, m)
		if _, err := boxlitev1.NewGuestClient(agent).Ping(ctx, &boxlitev1.PingRequest{}, wait); err != nil {
			t.Fatalf("ping: %v\n%s", err, said(t, spec))
		}
		lap("ping")
		// It was prepared before it was saved, and knows.
		_, err = boxlitev1.NewGuestClient(agent).Init(ctx, &boxlitev1.GuestInitRequest{UnixNanos: time.Now().UnixNano()})
		if !errors.Is(rpc.FromStatus(err), protocol.KindInvalidState) {
			t.Errorf("it is prepared again: %v", err)
		}
		for i := range round + 1 {
			if _, err := boxlitev1.NewFilesClient(agent).Stat(ctx, &boxlitev1.FileStatRequest{Path: fmt.Append(nil, "/", i)}); err != nil {
				t.Errorf("folder %d: %v", i, err)
			}
		}
		change(t, ctx, agent, fmt.Sprint("/", round+1))
		if err := m.Pause(ctx); err != nil {
			t.Fatal(err)
		}
		lap("more work")
	}
	if err := m.Resume(ctx); err != nil {
		t.Fatal(err)
	}
	// It ends as any other does, when it is asked to.
	if _, err := boxlitev1.NewGuestClient(agent).Shutdown(ctx, &boxlitev1.ShutdownRequest{}); err != nil {
		t.Errorf("shut down: %v", err)
	}
}

// change makes a folder.
func change(t *testing.T, ctx context.Context, agent *grpc.ClientConn, path string) {
	t.Helper()
	if _, err := boxlitev1.NewFilesClient(agent).Change(ctx, &boxlitev1.FileChangeRequest{
		Path: []byte(path), Kind: &boxlitev1.FileChangeRequest_Mkdir{Mkdir: 0o755},
	}); err != nil {
		t.Fatalf("make %s: %v", path, err)
	}
}
