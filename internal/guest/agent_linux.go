package guest

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"

	"github.com/boxlite-go/boxlite/internal/guest/files"
	"github.com/boxlite-go/boxlite/internal/guest/sockets"
	"github.com/boxlite-go/boxlite/internal/portal"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

// Main is the agent. It never returns: when the host closes the portal, or
// something that it can't do without fails, the machine ends.
func Main() {
	err := run(context.Background())
	fmt.Fprintln(os.Stderr, "boxlite-guest:", err)
	endMachine()
	os.Exit(1)
}

// endMachine powers the machine off; or resets it, which to a VMM is the same, if it can't
// be powered off: those with a virtio-serial port can.
func endMachine() {
	unix.Sync()
	if findPort(classPorts) != "" {
		_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	}
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
}

func run(ctx context.Context) error {
	if os.Getpid() != 1 {
		return fmt.Errorf("the guest agent runs as process 1 of a box's virtual machine, nowhere else")
	}
	if err := boot(); err != nil {
		return err
	}
	host, err := meetHost(ctx)
	if err != nil {
		return err
	}
	return newServer(ctx).Serve(host)
}

// newServer returns the gRPC server with the agent's services.
func newServer(ctx context.Context) *grpc.Server {
	c := &containerService{
		executions: newExecutions(ctx),
		files:      files.New(files.Layers{Image: dirImage, Upper: dirUpper, Merged: dirContainer}),
		sockets:    sockets.New(),
	}
	server := grpc.NewServer(
		grpc.MaxConcurrentStreams(4096),
		grpc.InitialWindowSize(1<<20),
		grpc.InitialConnWindowSize(1<<20),
		grpc.ForceServerCodecV2(codec{encoding.GetCodecV2(proto.Name)}),
		grpc.WriteBufferSize(portal.BestWrite),
	)
	boxlitev1.RegisterGuestServer(server, &guestService{container: c})
	boxlitev1.RegisterContainerServer(server, c)
	boxlitev1.RegisterExecutionServer(server, &executionService{executions: c.executions})
	boxlitev1.RegisterFilesServer(server, c.files)
	boxlitev1.RegisterSocketsServer(server, c.sockets)
	return server
}
