package flatten

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"runtime"
	"slices"
	"strings"

	"github.com/boxlite-go/boxlite/internal/image/layer"
	"github.com/boxlite-go/boxlite/internal/protocol"
	"golang.org/x/sync/errgroup"
)

// read is the first reading: all layers at once, as far as there are processors,
// and then applied one after the other.
func read(ctx context.Context, layers []Layer, b *budget) (*flattened, error) {
	entries := make([][]*entry, len(layers))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(min(4, runtime.GOMAXPROCS(0)))
	for i, l := range layers {
		group.Go(func() (err error) {
			entries[i], err = l.entries(groupCtx, b)
			return l.error(err)
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	t := newTree(b)
	contents := make([][]*node, len(layers))
	for i, l := range layers {
		t.layer = i + 1
		for _, e := range entries[i] {
			n, err := t.apply(e)
			if err != nil {
				return nil, l.error(err)
			}
			if e.hasContent() {
				contents[i] = append(contents[i], n)
			}
		}
		entries[i] = nil
	}
	return t.flatten(contents)
}

// hasContent reports whether the second reading must look at the entry. It tells
// the files apart in the same way in both readings.
func (a *attributes) hasContent() bool { return a.kind == regular && a.size > 0 }

// error says which layer an error is about, and gives it its kind.
func (l Layer) error(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	e := &protocol.Error{Kind: protocol.KindImage, Op: "layer " + l.Name, Err: err}
	if inner, ok := errors.AsType[*protocol.Error](err); ok {
		e.Kind = inner.Kind
	} else if errors.Is(err, errHostile) {
		e.Hint = "the image is malformed, perhaps on purpose; don't use it"
	}
	return e
}

// entries reads the headers of a layer and checks its digest.
func (l Layer) entries(ctx context.Context, b *budget) ([]*entry, error) {
	source, err := l.Open()
	if err != nil {
		return nil, err
	}
	defer source.Close()
	stream, err := layer.NewReader(source)
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	counted := &countingReader{ctx: ctx, reader: stream, budget: b}
	if l.DiffID != "" {
		counted.hash = sha256.New()
	}
	entries, err := readEntries(counted, b)
	if err != nil || l.DiffID == "" && stream.Compression == layer.Plain {
		return entries, err
	}
	// What follows the tar counts for digest and checksum.
	if _, err := io.Copy(io.Discard, counted); err != nil {
		return nil, err
	}
	return entries, l.verify(counted.hash)
}

func (l Layer) verify(h hash.Hash) error {
	if h == nil {
		return nil
	}
	if sum := "sha256:" + hex.EncodeToString(h.Sum(nil)); sum != l.DiffID {
		return fmt.Errorf("its content has the digest %s, and the image's configuration says %s", sum, l.DiffID)
	}
	return nil
}

// readEntries reads all headers of a tar.
func readEntries(r io.Reader, b *budget) ([]*entry, error) {
	var entries []*entry
	for tr := tar.NewReader(r); ; {
		header, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return entries, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read tar: %w", err)
		}
		e, err := newEntry(header)
		if err != nil {
			return nil, err
		}
		if e == nil {
			continue
		}
		if err := b.addEntry(); err != nil {
			return nil, err
		}
		if err := b.addMetadata(e.memory()); err != nil {
			return nil, err
		}
		if err := b.addDeclared(e.size); err != nil {
			return nil, fmt.Errorf("%q: %w", header.Name, err)
		}
		if e.size > maxFileBytes {
			return nil, &protocol.Error{
				Kind: protocol.KindResourceExhausted,
				Err:  fmt.Errorf("%q is %d bytes long, and %d is the most that a root disk can hold", header.Name, e.size, int64(maxFileBytes)),
			}
		}
		// Names share memory with the headers they come from.
		e.name = strings.Clone(e.name)
		entries = append(entries, e)
	}
}

// countingReader charges what is read to the budget, and jumps where nobody
// needs the bytes.
type countingReader struct {
	ctx    context.Context
	reader *layer.Reader
	budget *budget
	hash   hash.Hash // or nil
}

func (c *countingReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.reader.Read(p)
	if c.hash != nil {
		c.hash.Write(p[:n])
	}
	if err := c.budget.addRead(int64(n)); err != nil {
		return n, err
	}
	return n, err
}

// Seek lets archive/tar jump over content.
func (c *countingReader) Seek(offset int64, whence int) (int64, error) {
	if c.hash != nil {
		return 0, errors.ErrUnsupported
	}
	return c.reader.Seek(offset, whence)
}

// flatten lists what the complete tree holds.
func (t *tree) flatten(contents [][]*node) (*flattened, error) {
	f := &flattened{contents: contents}
	if child, ok := t.root.children["lost+found"]; ok && child.node.kind != directory {
		return nil, errLostFound
	}
	f.walk(t.root)
	return f, nil
}

var errLostFound = &protocol.Error{
	Kind: protocol.KindImage,
	Err:  errors.New("the image has a file named /lost+found, where an ext4 file system has a directory"),
}

func (f *flattened) walk(n *node) {
	f.nodes = append(f.nodes, n)
	f.count(n)
	names := make([]string, 0, len(n.children))
	for name := range n.children {
		names = append(names, name)
		f.blocks += 1 // generous: a block holds at least 14 names
	}
	slices.Sort(names)
	for _, name := range names {
		child := n.children[name].node
		switch {
		case child.kind == directory:
			f.walk(child)
		case child.placed:
			f.links = append(f.links, link{n, name, child})
		default:
			child.parent, child.name, child.placed = n, name, true
			f.count(child)
			if child.hasContent() {
				f.bytes += child.size
			} else {
				f.nodes = append(f.nodes, child)
			}
		}
	}
}

// count adds what an inode takes: its content, a block each for attributes, a
// long link target and the extent index, and its share of the inode table.
func (f *flattened) count(n *node) {
	f.inodes++
	f.blocks += (n.size+4095)/4096 + 4
}
