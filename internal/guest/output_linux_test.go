package guest

import (
	"bytes"
	"context"
	"crypto/rand"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

// readAll reads one stream to the end of the command.
func readAll(t *testing.T, r *reader) (out [streamCount][]byte, status *boxlitev1.ExitStatus) {
	t.Helper()
	for {
		c, exited, err := r.next(t.Context())
		if err != nil {
			t.Error(err)
			return out, nil
		}
		if exited != nil {
			return out, exited
		}
		if n := len(out[c.stream]); n > 0 && int(c.offset) != n {
			t.Errorf("a gap: offset %d after %d bytes", c.offset, n)
		}
		out[c.stream] = append(out[c.stream], c.data...)
		c.block.release()
	}
}

func TestReadersGetEverything(t *testing.T) {
	sent := make([]byte, 5*keptOutput+123)
	_, _ = rand.Read(sent)
	o := newOutput("")
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
	o := newOutput("")
	chunk := bytes.Repeat([]byte("x"), keptOutput/2)
	for range 5 {
		o.write(t.Context(), stdout, chunk)
	}
	o.finish(&boxlitev1.ExitStatus{})
	r := o.attach([streamCount]uint64{})
	defer r.close()
	first, _, err := r.next(t.Context())
	if err != nil || len(first.data) == 0 || first.offset < uint64(3*len(chunk)) || first.offset > uint64(5*len(chunk)) {
		t.Errorf("offset %d, %d bytes, %v", first.offset, len(first.data), err)
	}
}

// TestLogKeepsWhatNobodyReads: without a reader, what doesn't fit into memory is
// in the log, up to its size, and a reader that comes late has all of it.
func TestLogKeepsWhatNobodyReads(t *testing.T) {
	sent := make([]byte, 5*keptOutput+321)
	_, _ = rand.Read(sent)
	o := newOutput(t.TempDir())
	o.write(t.Context(), stdout, sent)
	r := o.attach([streamCount]uint64{})
	o.finish(&boxlitev1.ExitStatus{})
	got, _ := readAll(t, r)
	r.close()
	if !bytes.Equal(got[stdout], sent) {
		t.Errorf("%d bytes of %d came, or other ones", len(got[stdout]), len(sent))
	}
	o.forget()
	late := o.attach([streamCount]uint64{})
	defer late.close()
	if c, _, err := late.next(t.Context()); err != nil || c.offset != o.streams[stdout].start {
		t.Errorf("without the log, it begins at %d, %v", c.offset, err)
	}
}

// TestLogIsBounded: the log forgets its beginning, and the space is given back.
func TestLogIsBounded(t *testing.T) {
	o := newOutput(t.TempDir())
	part := bytes.Repeat([]byte("0123456789abcdef"), keptOutput/16)
	const parts = (keptLog + logSlack) / keptOutput * 2
	for range parts {
		o.write(t.Context(), stdout, part)
	}
	log := o.streams[stdout].log
	if size := log.end - log.start; size > keptLog+logSlack {
		t.Errorf("the log holds %d bytes", size)
	}
	var stat unix.Stat_t
	if err := unix.Fstat(int(log.file.Fd()), &stat); err != nil || stat.Blocks*512 > keptLog+2*logSlack {
		t.Errorf("the log takes %d bytes, %v", stat.Blocks*512, err)
	}
	r := o.attach([streamCount]uint64{7}) // long gone
	defer r.close()
	o.finish(&boxlitev1.ExitStatus{})
	total := 0
	for {
		c, exited, err := r.next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if exited != nil {
			break
		}
		if want := part[c.offset%16 : c.offset%16+1]; !bytes.HasPrefix(c.data, want) {
			t.Fatalf("at %d: got %q, want %q", c.offset, c.data[:1], want)
		}
		total += len(c.data)
		c.block.release()
	}
	if total < keptLog {
		t.Errorf("%d bytes came, of %d that are to be kept", total, keptLog)
	}
	o.forget()
}

func TestWriterWaitsForReader(t *testing.T) {
	o := newOutput("")
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

// TestEndIsKnownBeforeAllIsRead: the rest of an ended command's output does not wait
// for its reader, as long as that is little.
func TestEndIsKnownBeforeAllIsRead(t *testing.T) {
	o := newOutput("")
	r := o.attach([streamCount]uint64{})
	defer r.close()
	o.write(t.Context(), stdout, make([]byte, keptOutput))
	o.end()
	o.write(t.Context(), stdout, make([]byte, maxRest))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o.write(ctx, stdout, make([]byte, 2*keptMore))
	if end := o.streams[stdout].end(); end != keptOutput+keptMore {
		t.Errorf("the stream grew to %d", end)
	}
	o.finish(&boxlitev1.ExitStatus{Code: 3})
	total := 0
	for {
		c, exited, err := r.next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if exited != nil {
			break
		}
		total += len(c.data)
		c.block.release()
	}
	if total != keptOutput+keptMore {
		t.Errorf("%d bytes came", total)
	}
}
