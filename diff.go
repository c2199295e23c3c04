package boxlite

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

// ChangeKind says how a file differs from the box's image.
type ChangeKind string

// The kinds of changes.
const (
	ChangeAdded    ChangeKind = "added"
	ChangeModified ChangeKind = "modified"
	ChangeDeleted  ChangeKind = "deleted"
)

// Change is a file of a box that differs from the box's image.
type Change struct {
	Path string     `json:"path"`
	Kind ChangeKind `json:"kind"`
}

// maxChanges bounds what is taken from a box: a guest can't fill the memory here.
const (
	maxChanges     = 4 << 20
	maxChangeBytes = 1 << 30
)

// Diff returns what has been added, changed and deleted in the box since it was
// made from its image, sorted by path, and starts the box if need be. A folder
// is changed if something in it is. What the box's own mounts hide, such as
// /dev/shm, does not count. Of a folder that was removed, what was in it is not
// listed.
func (b *Box) Diff(ctx context.Context) ([]Change, error) {
	changes, err := b.diff(ctx)
	if err != nil {
		return nil, b.copyFailed("compare the box with its image", err)
	}
	slices.SortFunc(changes, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return changes, nil
}

func (b *Box) diff(ctx context.Context) ([]Change, error) {
	c, err := b.files(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.agent.Diff(ctx, &boxlitev1.DiffRequest{})
	if err != nil {
		return nil, c.failed(ctx, err)
	}
	changes := []Change{}
	var size int
	for {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return changes, nil
		}
		if err != nil {
			return nil, c.failed(ctx, err)
		}
		for _, d := range response.GetDifferences() {
			size += len(d.GetPath())
			changes = append(changes, Change{Path: string(d.GetPath()), Kind: changeKind(d.GetKind())})
		}
		if len(changes) > maxChanges || size > maxChangeBytes {
			return nil, &Error{Kind: ErrResourceExhausted, Err: errors.New("there are too many changes to list")}
		}
	}
}

func changeKind(k boxlitev1.FileDifference_Kind) ChangeKind {
	switch k {
	case boxlitev1.FileDifference_ADDED:
		return ChangeAdded
	case boxlitev1.FileDifference_DELETED:
		return ChangeDeleted
	}
	return ChangeModified
}
