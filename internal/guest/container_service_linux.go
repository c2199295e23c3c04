package guest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/guest/container"
	"github.com/boxlite-go/boxlite/internal/guest/files"
	"github.com/boxlite-go/boxlite/internal/guest/sockets"
	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/protocol/rpc"
)

// containerService serves boxlite.v1.Container.
type containerService struct {
	boxlitev1.UnimplementedContainerServer
	executions *executions
	files      *files.Service
	sockets    *sockets.Service

	mu        sync.Mutex
	request   *boxlitev1.ContainerInitRequest // nil before Init
	container *container.Container
	disk      *os.File // the box's, while it is mounted
	started   bool
}

func (s *containerService) Init(ctx context.Context, r *boxlitev1.ContainerInitRequest) (*boxlitev1.ContainerInitResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.request != nil {
		return nil, rpc.ToStatus(&protocol.Error{
			Kind: protocol.KindInvalidState, Op: "set up the container", Err: errors.New("it is set up already"),
		})
	}
	s.request = r
	if err := mountRoot(r.GetImageDisk(), r.GetBoxDisk()); err != nil {
		return nil, rpc.ToStatus(&protocol.Error{Kind: protocol.KindStorage, Op: "set up the container", Err: err})
	}
	disk, err := os.Open(dirBox)
	if err != nil {
		return nil, rpc.ToStatus(&protocol.Error{Kind: protocol.KindStorage, Op: "set up the container", Err: err})
	}
	s.disk = disk
	cgroup, err := makeCgroup()
	if err != nil {
		return nil, rpc.ToStatus(&protocol.Error{Kind: protocol.KindInternal, Op: "set up the container", Err: err})
	}
	c, err := container.New(ctx, container.Config{
		Root:           dirContainer,
		Hostname:       r.GetHostname(),
		Env:            r.GetEnv(),
		Dir:            r.GetDir(),
		User:           r.GetUser(),
		Hosts:          hostsFile(r.GetHostname(), r.GetNetwork()),
		ResolvConf:     resolvConf(r.GetNetwork()),
		Cgroup:         cgroup,
		CACertificates: []byte(strings.Join(r.GetCaCertificates(), "\n")),
		Capabilities:   (*protocol.Capabilities)(r.Capabilities),
	})
	if err != nil {
		return nil, rpc.ToStatus(err)
	}
	s.container = c
	s.executions.open(c)
	s.files.Serve(c)
	s.sockets.Serve(c)
	return &boxlitev1.ContainerInitResponse{}, nil
}

// makeCgroup creates the cgroup of the container, with the controllers that
// limits on it and on single commands need.
func makeCgroup() (string, error) {
	control := []byte("+cpu +memory +pids +io")
	if err := os.WriteFile(filepath.Join(dirCgroup, "cgroup.subtree_control"), control, 0); err != nil {
		return "", err
	}
	return containerCgroup, os.Mkdir(containerCgroup, 0o755)
}

func (s *containerService) Start(context.Context, *boxlitev1.ContainerStartRequest) (*boxlitev1.ContainerStartResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.container == nil || s.started {
		return nil, rpc.ToStatus(&protocol.Error{
			Kind: protocol.KindInvalidState, Op: "start the container",
			Err: errors.New("it is not set up, or has been started before"),
		})
	}
	s.started = true
	if len(s.request.GetMain().GetArgs()) == 0 {
		return &boxlitev1.ContainerStartResponse{}, nil
	}
	e, err := s.executions.start(&boxlitev1.StartRequest{
		Id: protocol.MainExecution, Process: s.request.GetMain(), Stdin: s.request.GetMainStdin(),
	})
	if err != nil {
		return nil, rpc.ToStatus(err)
	}
	return &boxlitev1.ContainerStartResponse{ExecutionId: e.id}, nil
}

func (s *containerService) Wait(ctx context.Context, _ *boxlitev1.ContainerWaitRequest) (*boxlitev1.ContainerWaitResponse, error) {
	e, err := s.executions.get(ctx, protocol.MainExecution)
	if err != nil {
		return nil, rpc.ToStatus(err)
	}
	status, err := e.out.wait(ctx)
	if err != nil {
		return nil, rpc.ToStatus(err)
	}
	return &boxlitev1.ContainerWaitResponse{Status: status}, nil
}

// stopSignal is what asks the main process to end.
func (s *containerService) stopSignal() syscall.Signal {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.request.GetStopSignal(); n > 0 && n <= 64 {
		return syscall.Signal(n)
	}
	return syscall.SIGTERM
}

// kill ends all that runs in the container.
func (s *containerService) kill() {
	s.mu.Lock()
	c := s.container
	s.mu.Unlock()
	if c != nil {
		c.Kill()
	}
}

// unmount writes everything to the disks and lets go of them.
func (s *containerService) unmount() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.disk == nil {
		return nil
	}
	var failed []error
	for _, dir := range []string{dirContainer, dirBox, dirImage} {
		if dir == dirBox {
			failed = append(failed, s.flush())
		}
		if err := unix.Unmount(dir, 0); err != nil {
			failed = append(failed, &os.PathError{Op: "unmount", Path: dir, Err: err})
		}
	}
	unix.Sync() // for what could not be unmounted
	return errors.Join(failed...)
}

// flush writes everything to the box's disk. It fails if anything could not be
// written since the disk was mounted, even if nobody noticed (syncfs(2)).
func (s *containerService) flush() error {
	defer func() {
		_ = s.disk.Close()
		s.disk = nil
	}()
	if err := unix.Syncfs(int(s.disk.Fd())); err != nil {
		return fmt.Errorf("not all that was written is on the disk; on the host it may be full: %w", err)
	}
	return nil
}
