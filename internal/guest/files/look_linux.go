package files

import (
	"context"
	"errors"
	"io"
	"path"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

// Stat describes a file.
func (s *Service) Stat(_ context.Context, r *boxlitev1.FileStatRequest) (*boxlitev1.FileStatResponse, error) {
	response := &boxlitev1.FileStatResponse{}
	err := s.call(func(root Root) error {
		flags := unix.O_NOFOLLOW
		if r.GetFollow() {
			flags = 0
		}
		fd, err := look(root, string(r.GetPath()), flags)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		var stat unix.Stat_t
		if err := unix.Fstat(fd, &stat); err != nil {
			return err
		}
		name := path.Clean(string(r.GetPath()))
		if r.GetFollow() {
			if name, err = resolved(root, fd); err != nil {
				return err
			}
			response.Resolved = []byte(name)
		}
		response.Info = infoOf(path.Base(name), &stat)
		if stat.Mode&unix.S_IFMT == unix.S_IFLNK {
			response.Info.Target, err = readLink(fd)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return response, nil
}

// readLink returns what an open link points to.
func readLink(fd int) ([]byte, error) {
	var buf [unix.PathMax]byte
	n, err := unix.Readlinkat(fd, "", buf[:])
	return buf[:max(0, n)], err
}

// listBatch is how many files one message of List describes.
const listBatch = 128

// List describes what is in a folder.
func (s *Service) List(r *boxlitev1.FileListRequest, stream grpc.ServerStreamingServer[boxlitev1.FileListResponse]) error {
	return s.stream(stream.Context(), func(ctx context.Context, root Root) error {
		folder, err := openFolder(root, string(r.GetPath()))
		if err != nil {
			return err
		}
		defer folder.Close()
		for {
			names, err := folder.Readdirnames(listBatch)
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			response := &boxlitev1.FileListResponse{}
			for _, name := range names {
				var stat unix.Stat_t
				err := unix.Fstatat(int(folder.Fd()), name, &stat, unix.AT_SYMLINK_NOFOLLOW)
				if errors.Is(err, unix.ENOENT) {
					continue // removed since
				}
				if err != nil {
					return err
				}
				response.Files = append(response.Files, infoOf(name, &stat))
			}
			if err := stream.Send(response); err != nil {
				return err
			}
			if err := context.Cause(ctx); err != nil {
				return err
			}
		}
	})
}
