package assets

import (
	"errors"
	"io"
	"io/fs"
	"syscall"

	"github.com/klauspost/compress/zstd"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

const (
	hintDamaged      = "this program is damaged: build or install it again"
	hintArchitecture = "use a program built for amd64"
)

func unpackError(dir string, err error) error {
	failure := &protocol.Error{Kind: protocol.KindStorage, Op: "unpack guest kernel and agent to " + dir, Err: err}
	var known *protocol.Error
	switch {
	case errors.As(err, &known):
		failure.Kind = known.Kind
	case errors.Is(err, zstd.ErrMagicMismatch), errors.Is(err, zstd.ErrCRCMismatch), errors.Is(err, io.ErrUnexpectedEOF):
		failure.Kind = protocol.KindInternal
		failure.Hint = hintDamaged
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		failure.Kind = protocol.KindResourceExhausted
		failure.Hint = "free about 30 MB where the home is, or set BOXLITE_HOME to a folder with more space"
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		failure.Hint = "set BOXLITE_HOME to a folder that you may write to"
	}
	return failure
}
