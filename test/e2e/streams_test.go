package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/boxlite-go/boxlite"
)

// inputMiB is how much TestCommandStreams writes to a command's standard input;
// BOXLITE_TEST_INPUT_MIB changes it.
const inputMiB = 128

// counter counts what is read of r.
type counter struct {
	r io.Reader
	n atomic.Int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// noise returns n bytes that are the same at each call.
func noise(n int64) io.Reader { return io.LimitReader(rand.NewChaCha8([32]byte{42}), n) }

func noiseSum(t *testing.T, n int64) string {
	t.Helper()
	h := sha256.New()
	if _, err := io.Copy(h, noise(n)); err != nil {
		t.Fatal(err)
	}
	return string(h.Sum(nil))
}

// TestCommandStreams: what goes through them is whole, however slow a reader is.
func TestCommandStreams(t *testing.T) {
	needMachine(t)
	t.Parallel()
	box := newBox(t, openRuntime(t, boxlite.Options{}), boxlite.BoxSpec{})
	const size = 64 << 20
	want := noiseSum(t, size)

	t.Run("BothDirections", func(t *testing.T) {
		h := sha256.New()
		c := box.Command("cat")
		c.Stdin, c.Stdout = noise(size), h
		if err := c.Run(t.Context()); err != nil || string(h.Sum(nil)) != want {
			t.Errorf("other bytes come back, %v", err)
		}
	})
	t.Run("BackPressure", func(t *testing.T) {
		h := sha256.New()
		input := &counter{r: noise(size)}
		c := box.Command("cat")
		c.Stdin = input
		stdout, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		start(t, c)
		for range 3 << 10 {
			if _, err := io.CopyN(h, stdout, 1<<10); err != nil {
				t.Fatal(err)
			}
		}
		if out, err := box.Command("echo", "other").Output(t.Context()); err != nil || string(out) != "other\n" {
			t.Errorf("another command: %q, %v", out, err)
		}
		if n := input.n.Load(); n > size/2 {
			t.Errorf("%d bytes were taken though 3 MiB were read", n)
		}
		if _, err := io.Copy(h, stdout); err != nil {
			t.Error(err)
		}
		if err := c.Wait(); err != nil || string(h.Sum(nil)) != want {
			t.Errorf("other bytes come back, %v", err)
		}
	})
	t.Run("Input", func(t *testing.T) {
		total := int64(inputMiB) << 20
		if text := os.Getenv("BOXLITE_TEST_INPUT_MIB"); text != "" {
			n, err := strconv.ParseInt(text, 10, 32)
			if err != nil {
				t.Fatal(err)
			}
			total = n << 20
		}
		c := box.Command("dd", "of=/dev/null", "bs=64k", "iflag=fullblock")
		c.Stdin = io.LimitReader(zeros{}, total)
		out, err := c.CombinedOutput(t.Context())
		if err != nil || !strings.Contains(string(out), fmt.Sprintf("\n%d+0 records out\n", total>>16)) {
			t.Errorf("of %d bytes: %s, %v", total, out, err)
		}
	})
	t.Run("Binary", func(t *testing.T) {
		data := make([]byte, 256)
		for i := range data {
			data[i] = byte(i)
		}
		var stdout, stderr bytes.Buffer
		c := box.Command("sh", "-c", "tee /tmp/data; cat /tmp/data >&2")
		c.Stdin, c.Stdout, c.Stderr = bytes.NewReader(data), &stdout, &stderr
		if err := c.Run(t.Context()); err != nil || !bytes.Equal(stdout.Bytes(), data) || !bytes.Equal(stderr.Bytes(), data) {
			t.Errorf("got %q and %q, %v", &stdout, &stderr, err)
		}
	})
	t.Run("LastBytes", func(t *testing.T) {
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				for range 20 {
					if out, err := box.Command("printf", "x").Output(t.Context()); err != nil || string(out) != "x" {
						t.Errorf("got %q, %v", out, err)
					}
				}
			})
		}
		wg.Wait()
	})
}

// TestCommandCrowd runs 500 commands at once in a box of the usual size, beside one
// whose output nobody reads.
func TestCommandCrowd(t *testing.T) {
	needMachine(t)
	t.Parallel()
	box := newBox(t, openRuntime(t, boxlite.Options{}), boxlite.BoxSpec{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	unread := box.Command("yes")
	if _, err := unread.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := unread.Start(ctx); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 500 {
		wg.Go(func() {
			n := fmt.Sprint(i)
			out, err := box.Command("sh", "-c", "echo out $0; echo err $0 >&2; exit $((1 + $0 % 200))", n).Output(t.Context())
			exit, ok := errors.AsType[*boxlite.ExitError](err)
			if !ok || exit.Code != 1+i%200 || string(out) != "out "+n+"\n" || string(exit.Stderr) != "err "+n+"\n" {
				t.Errorf("command %d: %q, %+v", i, out, err)
			}
		})
	}
	wg.Wait()
	cancel()
	if err := unread.Wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
