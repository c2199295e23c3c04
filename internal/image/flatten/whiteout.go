package flatten

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// Whiteouts are how a layer removes files of the layers below it (OCI image
// specification, "Image Layer Filesystem Changeset").
const (
	whiteoutPrefix = ".wh."
	opaqueMark     = ".wh..opq" // what follows the prefix in an opaque directory
)

// whiteout removes what lower layers have put at dir/name, or for an opaque
// mark, into dir. What its own layer has put there stays, in whatever order the
// layer lists them.
func (t *tree) whiteout(dir, name string) error {
	switch {
	case name == opaqueMark:
		// Handled below.
	case strings.HasPrefix(name, whiteoutPrefix):
		return nil // bookkeeping of aufs, which describes no file
	case name == "" || name == "." || name == "..":
		return fmt.Errorf("the whiteout %q %w", dir+whiteoutPrefix+name, errHostile)
	}
	parent, err := t.directory(dir, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("whiteout %q: %w", dir+whiteoutPrefix+name, err)
	}
	if name == opaqueMark {
		t.purge(parent)
		return nil
	}
	if child, ok := parent.children[name]; ok && !t.keeps(child) {
		delete(parent.children, name)
	}
	return nil
}

// purge removes from a directory all that lower layers have put into it.
func (t *tree) purge(dir *node) {
	if dir.purged == t.layer {
		return
	}
	dir.purged = t.layer
	for name, child := range dir.children {
		if !t.keeps(child) {
			delete(dir.children, name)
		}
	}
}

// keeps removes from child all that lower layers have put into it, and reports
// whether something of this layer is left.
func (t *tree) keeps(child dirent) bool {
	if child.node.kind == directory {
		t.purge(child.node)
		return child.layer == t.layer || len(child.node.children) > 0
	}
	return child.layer == t.layer
}
