package flatten

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// node is an inode of the flattened image.
type node struct {
	attributes
	// parent and name are the place of a directory, and for other files the
	// first place found, which is known only when the tree is complete.
	parent *node
	name   string
	placed bool
	depth  int

	children map[string]dirent // of a directory
	// purged is the last layer that removed all that lower layers had put into
	// the directory: nothing is left to be removed in it by that layer.
	purged int
}

// dirent is a name in a directory. The layer that made it decides which
// whiteouts concern it.
type dirent struct {
	node  *node
	layer int
}

// tree is the image's root filesystem, as the layers applied so far leave it.
type tree struct {
	root   *node
	layer  int // being applied, counted from 1
	budget *budget
}

func newTree(b *budget) *tree {
	return &tree{root: &node{attributes: attributes{kind: directory, mode: 0o755}}, budget: b}
}

// apply does to the tree what extracting the entry over it would do to a
// directory. It returns the new inode, or nil if the entry makes none.
func (t *tree) apply(e *entry) (*node, error) {
	if e.name == "." {
		if e.kind != directory {
			return nil, errors.New("the root is not a directory")
		}
		t.root.attributes = e.attributes
		return nil, nil
	}
	dir, base := path.Split(e.name)
	if rest, ok := strings.CutPrefix(base, whiteoutPrefix); ok {
		return nil, t.whiteout(dir, rest)
	}
	parent, err := t.directory(dir, true)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", e.name, err)
	}
	if e.kind == hardLink {
		return nil, t.link(parent, base, e)
	}
	if old, ok := parent.children[base]; ok && old.node.kind == directory && e.kind == directory {
		old.node.attributes = e.attributes
		parent.children[base] = dirent{old.node, t.layer}
		return nil, nil
	}
	return t.add(parent, base, e.attributes)
}

// add makes a new inode, replacing whatever had its name.
func (t *tree) add(parent *node, name string, a attributes) (*node, error) {
	n := &node{attributes: a, purged: t.layer}
	if a.kind == directory {
		n.parent, n.name, n.depth = parent, name, parent.depth+1
		if n.depth > t.budget.limits.Depth {
			return nil, fmt.Errorf("%q: directories are nested more than %d deep", name, t.budget.limits.Depth)
		}
	}
	t.put(parent, name, n)
	return n, nil
}

func (t *tree) put(parent *node, name string, n *node) {
	if parent.children == nil {
		parent.children = make(map[string]dirent)
	}
	parent.children[name] = dirent{n, t.layer}
}

// link gives an inode of this or a lower layer one more name.
func (t *tree) link(parent *node, base string, e *entry) error {
	dir, name := path.Split(e.link)
	from, err := t.directory(dir, false)
	if err != nil {
		return fmt.Errorf("hard link %q to %q: %w", e.name, e.link, err)
	}
	target, ok := from.children[name]
	if !ok {
		return fmt.Errorf("hard link %q to %q: %w", e.name, e.link, fs.ErrNotExist)
	}
	if target.node.kind == directory {
		return fmt.Errorf("hard link %q to %q, which is a directory", e.name, e.link)
	}
	t.put(parent, base, target.node)
	return nil
}

// directory finds a directory of the image as the kernel would with the image as
// its root: it follows symbolic links, and ".." stops at the root. With create,
// it makes missing directories, owned by root and with mode 0755.
func (t *tree) directory(name string, create bool) (*node, error) {
	current, links := t.root, 0
	for rest := name; rest != ""; {
		var part string
		part, rest, _ = strings.Cut(rest, "/")
		switch part {
		case "", ".":
			continue
		case "..":
			if current.parent != nil {
				current = current.parent
			}
			continue
		}
		child, ok := current.children[part]
		switch {
		case !ok && !create:
			return nil, fmt.Errorf("%q: %w", part, fs.ErrNotExist)
		case !ok:
			if len(part) > maxNameBytes {
				return nil, fmt.Errorf("a directory's name is %d bytes long", len(part))
			}
			made, err := t.makeParent(current, part)
			if err != nil {
				return nil, err
			}
			current = made
		case child.node.kind == directory:
			current = child.node
		case child.node.kind == symlink:
			if links++; links > maxLinkDepth {
				return nil, fmt.Errorf("%q: too many levels of symbolic links", part)
			}
			if strings.HasPrefix(child.node.target, "/") {
				current = t.root
			}
			rest = child.node.target + "/" + rest
		default:
			return nil, fmt.Errorf("%q is not a directory", part)
		}
	}
	return current, nil
}

func (t *tree) makeParent(parent *node, name string) (*node, error) {
	if err := t.budget.addEntry(); err != nil {
		return nil, err
	}
	if err := t.budget.addMetadata(int64(len(name))); err != nil {
		return nil, err
	}
	return t.add(parent, name, attributes{kind: directory, mode: 0o755})
}
