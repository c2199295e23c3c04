package guest

import (
	"bytes"
	"context"
	"crypto/rand"
	"sync"
	"testing"

	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

// readAll reads one stream to the end of the command.
func readAll(t *testing.T, r *reader) (out [streamCount][]byte, status *boxlitev1.ExitStatus) {
	t.Helper()
	buf := make([]byte, 3000)
	for {
		stream, data, offset, exited, err := r.next(t.Context(), buf)
		if err != nil {
			t.Error(err)
			return out, nil
		}
		if exited != nil {
			return out, exited
		}
		if len(out[stream]) > 0 && int(offset) != len(out[stream]) {
			t.Errorf("a gap: offset %d after %d bytes", offset, len(out[stream]))
		}
		out[stream] = append(out[stream], data...)
	}
}

func TestReadersGetEverything(t *testing.T) {
	sent := make([]byte, 5*keptOutput+123)
	_, _ = rand.Read(sent)
	o := newOutput()
	var wg sync.WaitGroup
	for range 3 {
		r := o.attach([streamCount]uint64{})
		wg.Go(func() {
			defer r.close()
			got, status := readAll(t, r)
			if !bytes.Equal(got[stdout], sent) || !bytes.Equal(got[stderr], sent[:1000]) {
				t.Errorf("%d and %d bytes came, or other ones", len(got[stdout]), len(got[stderr]))
			}
			if status.GetCode() != 3 {
				t.Errorf("status %v", status)
			}
		})
	}
	o.write(t.Context(), stderr, sent[:1000])
	for rest := sent; len(rest) > 0; {
		n := min(len(rest), 70000)
		o.write(t.Context(), stdout, rest[:n])
		rest = rest[n:]
	}
	o.finish(&boxlitev1.ExitStatus{Code: 3})
	wg.Wait()
}

func TestLateReaderGetsWhatIsKept(t *testing.T) {
	o := newOutput()
	chunk := bytes.Repeat([]byte("x"), keptOutput/2)
	for range 5 {
		o.write(t.Context(), stdout, chunk)
	}
	o.finish(&boxlitev1.ExitStatus{})
	r := o.attach([streamCount]uint64{})
	defer r.close()
	_, data, offset, _, err := r.next(t.Context(), make([]byte, 1))
	if err != nil || len(data) != 1 || offset < uint64(3*len(chunk)) || offset > uint64(5*len(chunk)) {
		t.Errorf("offset %d, %d bytes, %v", offset, len(data), err)
	}
}

func TestWriterWaitsForReader(t *testing.T) {
	o := newOutput()
	r := o.attach([streamCount]uint64{})
	o.write(t.Context(), stdout, make([]byte, keptOutput))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o.write(ctx, stdout, []byte("no room")) // returns because ctx has ended
	if end := o.streams[stdout].end(); end != keptOutput {
		t.Errorf("the stream grew to %d past its slowest reader", end)
	}
	r.close()
	o.write(ctx, stdout, []byte("room"))
	if end := o.streams[stdout].end(); end != keptOutput+4 {
		t.Errorf("the stream has %d bytes after its reader left", end)
	}
}
