package image

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/boxlite-go/boxlite/internal/durable"
	"github.com/boxlite-go/boxlite/internal/stage"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// blob downloads a blob. What was downloaded is kept when the download is
// interrupted, and the next one goes on from there. The blob's lock must be held.
func (r *remote) blob(ctx context.Context, s *session, desc ocispec.Descriptor, done func(int64)) error {
	d := &download{desc: desc, path: s.store.path(partialDir, desc.Digest.Encoded()), done: done, network: r.network}
	err := r.each(ctx, func(e *endpoint) error { return d.attempt(ctx, e) })
	if err != nil {
		if final(err) {
			os.Remove(d.path)
		}
		return err
	}
	stage.Reached("pull/blob", desc.Digest.String())
	return durable.Rename(d.path, s.store.blobPath(desc.Digest))
}

// download is one blob on its way.
type download struct {
	desc    ocispec.Descriptor
	path    string // of the file that holds what has come so far
	done    func(int64)
	network Network
}

// attempt downloads what is missing, and checks the whole.
func (d *download) attempt(ctx context.Context, e *endpoint) error {
	f, err := os.OpenFile(d.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	have, err := io.Copy(sum, io.LimitReader(f, d.desc.Size))
	if err != nil {
		return err
	}
	resumed := have > 0
	if have < d.desc.Size || have == 0 {
		if resumed, err = d.receive(ctx, e, f, sum, have); err != nil {
			return err
		}
	}
	if err := f.Truncate(d.desc.Size); err != nil {
		return err
	}
	if got := digest.NewDigest(digest.SHA256, sum); got != d.desc.Digest {
		if err := f.Truncate(0); err != nil {
			return err
		}
		err := fmt.Errorf("the registry sent content with the digest %s", got)
		if resumed {
			// The part that was there may be what is wrong.
			return fmt.Errorf("%w: %w", err, io.ErrUnexpectedEOF)
		}
		return finalError{wrongDigest(err)}
	}
	return f.Sync()
}

// receive asks for the blob from offset have on, and appends it to f and sum. It
// reports whether the registry did begin there: if not, it began at the start.
func (d *download) receive(ctx context.Context, e *endpoint, f *os.File, sum hash.Hash, have int64) (resumed bool, err error) {
	ctx, guard := newGuard(ctx, d.network.StallTimeout)
	defer guard.stop()
	response, err := d.request(ctx, e, have)
	if err != nil {
		return false, guard.cause(err)
	}
	defer response.Body.Close()
	resumed = have > 0 && strings.HasPrefix(response.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", have))
	if !resumed {
		if response.StatusCode != http.StatusOK {
			return false, fmt.Errorf("the registry sent %s", response.Header.Get("Content-Range"))
		}
		have = 0
		sum.Reset()
	}
	if _, err := f.Seek(have, io.SeekStart); err != nil {
		return false, err
	}
	if err := f.Truncate(have); err != nil {
		return false, err
	}
	d.done(have)
	body := &countingBody{reader: guard.reader(response.Body), count: have, done: d.done}
	// One byte more than there may be, to notice it.
	_, err = io.Copy(io.MultiWriter(f, sum), io.LimitReader(body, d.desc.Size-have+1))
	switch {
	case err != nil:
		return false, guard.cause(err)
	case body.count > d.desc.Size:
		return false, finalError{wrongDigest(fmt.Errorf("the registry sent more than the %d bytes that the manifest says", d.desc.Size))}
	case body.count < d.desc.Size:
		return false, fmt.Errorf("the registry sent %d of %d bytes: %w", body.count, d.desc.Size, io.ErrUnexpectedEOF)
	}
	return resumed, nil
}

// request asks for the rest of the blob, or for all of it where the registry
// can't do that.
func (d *download) request(ctx context.Context, e *endpoint, have int64) (*http.Response, error) {
	header := http.Header{}
	if have > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-", have))
	}
	response, err := e.get(ctx, "blobs", d.desc.Digest.String(), header)
	if status, ok := errors.AsType[*transport.Error](err); ok && have > 0 && status.StatusCode == http.StatusRequestedRangeNotSatisfiable {
		return e.get(ctx, "blobs", d.desc.Digest.String(), http.Header{})
	}
	return response, err
}

// countingBody tells how much has come.
type countingBody struct {
	reader io.Reader
	count  int64
	done   func(int64)
}

func (b *countingBody) Read(p []byte) (int, error) {
	n, err := b.reader.Read(p)
	b.count += int64(n)
	b.done(b.count)
	return n, err
}
