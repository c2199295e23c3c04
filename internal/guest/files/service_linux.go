package files

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/protocol"
	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
	"github.com/boxlite-go/boxlite/internal/protocol/rpc"
)

// Root is the root of a container.
type Root interface {
	// Open opens a file below the root, and returns its descriptor. No link leads
	// out.
	Open(path string, flags int, mode uint32) (int, error)
	// Owner is whom new files belong to.
	Owner() (uid, gid uint32, err error)
}

// Layers are the folders of which the container's root filesystem is made.
type Layers struct {
	// Image is the read-only one, Upper what has changed, Merged both together,
	// without what the container mounts on it.
	Image, Upper, Merged string
}

// maxCopies is how many trees are copied at the same time: each may have a
// descriptor open for each level of its tree.
const maxCopies = 8

// Service serves boxlite.v1.Files.
type Service struct {
	boxlitev1.UnimplementedFilesServer
	layers Layers
	copies chan struct{}

	mu      sync.Mutex
	root    Root // nil until there is a container
	closed  bool
	closing chan struct{}
	active  sync.WaitGroup
}

// New returns a service that refuses everything until Serve.
func New(layers Layers) *Service {
	return &Service{layers: layers, copies: make(chan struct{}, maxCopies), closing: make(chan struct{})}
}

// Serve makes the service work on a container.
func (s *Service) Serve(root Root) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.root = root
}

// End ends all that is under way, and waits until no file is open any more, or
// ctx ends.
func (s *Service) End(ctx context.Context) {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.closing)
	}
	s.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		s.active.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
}

// begin returns the container's root, until done is called.
func (s *Service) begin() (root Root, done func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.root == nil || s.closed {
		return nil, nil, errStopped
	}
	s.active.Add(1)
	return s.root, s.active.Done, nil
}

var errStopped = &protocol.Error{
	Kind: protocol.KindStopped, Err: errors.New("the container is not running"), Hint: "start the box again",
}

// stream does something that may wait for the client. When the container ends, it
// returns, which breaks the stream, and so ends do.
func (s *Service) stream(ctx context.Context, do func(context.Context, Root) error) error {
	root, done, err := s.begin()
	if err != nil {
		return rpc.ToStatus(err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	ended := make(chan error, 1)
	go func() {
		defer done()
		ended <- do(ctx, root)
	}()
	select {
	case err = <-ended:
	case <-s.closing:
		err = errStopped
	}
	cancel(err)
	return status(err)
}

// copy is stream for what walks through trees.
func (s *Service) copy(ctx context.Context, do func(context.Context, Root) error) error {
	return s.stream(ctx, func(ctx context.Context, root Root) error {
		select {
		case s.copies <- struct{}{}:
			defer func() { <-s.copies }()
			return do(ctx, root)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
}

// call does something that waits for nobody.
func (s *Service) call(do func(Root) error) error {
	root, done, err := s.begin()
	if err != nil {
		return rpc.ToStatus(err)
	}
	defer done()
	return status(do(root))
}

// status turns an error into one for the client.
func status(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*protocol.Error](err); ok {
		return rpc.ToStatus(err)
	}
	return rpc.ToStatus(&protocol.Error{Kind: kindOf(err), Err: err})
}

// kindOf returns the kind of a system error.
func kindOf(err error) protocol.Kind {
	for _, k := range []struct {
		kind protocol.Kind
		of   []unix.Errno
	}{
		{protocol.KindNotFound, []unix.Errno{unix.ENOENT}},
		{protocol.KindAlreadyExists, []unix.Errno{unix.EEXIST, unix.ENOTEMPTY}},
		{protocol.KindResourceExhausted, []unix.Errno{unix.ENOSPC, unix.EDQUOT, unix.EMFILE, unix.ENFILE, unix.EFBIG}},
		{protocol.KindUnsupported, []unix.Errno{unix.ENOTSUP, unix.ENOSYS}},
		{protocol.KindInvalidArgument, []unix.Errno{
			unix.EINVAL, unix.ENOTDIR, unix.EISDIR, unix.ELOOP, unix.ENAMETOOLONG, unix.EPERM, unix.EACCES, unix.EROFS,
			unix.EBUSY, unix.EXDEV,
		}},
	} {
		for _, errno := range k.of {
			if errors.Is(err, errno) {
				return k.kind
			}
		}
	}
	return protocol.KindStorage
}
