package proxy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestEventsArriveAsTheyAreSent(t *testing.T) {
	for _, isHTTP2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("HTTP2=%t", isHTTP2), func(t *testing.T) {
			parts := make(chan string)
			w := newWorld(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				w.(http.Flusher).Flush()
				for part := range parts {
					io.WriteString(w, part)
					w.(http.Flusher).Flush()
				}
			}, "example.com")
			// The head arrives before there is any event.
			res, err := w.client(isHTTP2).Do(request(t, "GET", "https://example.com/", nil))
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if kind := res.Header.Get("Content-Type"); kind != "text/event-stream" {
				t.Errorf("it is %q", kind)
			}
			for _, event := range []struct {
				parts []string
				want  string
			}{
				{[]string{"data: one\n\n"}, "data: one\n\n"},
				{[]string{"data: " + value + "\n\n"}, "data: " + placeholder + "\n\n"},
				{[]string{"data: " + value[:7], value[7:] + "\n\n"}, "data: " + placeholder + "\n\n"},
				{strings.SplitAfter("data: "+value+"\n\n", ""), "data: " + placeholder + "\n\n"},
				{[]string{"data: " + value[:7], "\n\n"}, "data: " + value[:7] + "\n\n"},
				{[]string{"data: last\n\n"}, "data: last\n\n"},
			} {
				for _, part := range event.parts {
					parts <- part
				}
				got := make([]byte, len(event.want))
				if n, err := io.ReadFull(res.Body, got); err != nil || string(got) != event.want {
					t.Errorf("got %q, %v; want %q", got[:n], err, event.want)
				}
			}
			close(parts)
			if rest, err := io.ReadAll(res.Body); err != nil || len(rest) > 0 {
				t.Errorf("then %q, %v", rest, err)
			}
		})
	}
}

const (
	// streamed is about how long a body is, and window how much of it may be under way: in
	// the proxy, in the connections, and in both ends.
	streamed = 64 << 20
	window   = 512 << 10
)

// lockstep is a long body, which goes on only when what arrives is at most a window behind.
type lockstep struct {
	text     string // is repeated
	at, left int
	sent     int64
	arrived  atomic.Int64
	progress chan struct{} // has something when arrived has grown
}

func newLockstep(text string) *lockstep {
	return &lockstep{text: text, left: streamed / len(text) * len(text), progress: make(chan struct{}, 1)}
}

// Read makes some more of the body.
func (l *lockstep) Read(b []byte) (int, error) {
	if l.left == 0 {
		return 0, io.EOF
	}
	for l.sent-l.arrived.Load() > window {
		<-l.progress
	}
	n := copy(b, l.text[l.at:])
	l.at = (l.at + n) % len(l.text)
	l.left -= n
	l.sent += int64(n)
	return n, nil
}

// Write is told what has arrived.
func (l *lockstep) Write(b []byte) (int, error) {
	l.arrived.Add(int64(len(b)))
	select {
	case l.progress <- struct{}{}:
	default:
	}
	return len(b), nil
}

// noisy is a text with something in it where no buffer begins or ends, and with what
// begins as that does.
func noisy(word string) string {
	var b strings.Builder
	for i := 0; b.Len() < 100_003; i++ {
		fmt.Fprintf(&b, "%x ", i*i)
	}
	return word + b.String() + word[:len(word)-1] + word + word + word[:3]
}

// same tells if what arrived is not a text that was repeated as a lockstep's was.
func same(t *testing.T, arrived hash.Hash, text string, times int) {
	t.Helper()
	want := sha256.New()
	for range times {
		io.WriteString(want, text)
	}
	if !bytes.Equal(arrived.Sum(nil), want.Sum(nil)) {
		t.Error("it is not what was sent")
	}
}

func TestLongBodiesOfRequestsAreNotHeld(t *testing.T) {
	for _, isHTTP2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("HTTP2=%t", isHTTP2), func(t *testing.T) {
			text, arrived := noisy(placeholder), sha256.New()
			body := newLockstep(text)
			times := body.left / len(text)
			w := newWorld(t, func(_ http.ResponseWriter, r *http.Request) {
				if _, err := io.Copy(io.MultiWriter(arrived, body), r.Body); err != nil {
					t.Error(err)
				}
			}, "example.com")
			r := request(t, "PUT", "https://example.com/", body)
			r.ContentLength = int64(body.left)
			if res, body := w.do(isHTTP2, r); res.StatusCode != 200 {
				t.Fatal(res.Status, body)
			}
			same(t, arrived, strings.ReplaceAll(text, placeholder, value), times)
		})
	}
}

func TestLongBodiesOfAnswersAreNotHeld(t *testing.T) {
	for _, isHTTP2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("HTTP2=%t", isHTTP2), func(t *testing.T) {
			text, arrived := noisy(value), sha256.New()
			body := newLockstep(text)
			times := body.left / len(text)
			w := newWorld(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", fmt.Sprint(body.left))
				if _, err := io.Copy(w, struct{ io.Reader }{body}); err != nil {
					t.Error(err)
				}
			}, "example.com")
			res, err := w.client(isHTTP2).Do(request(t, "GET", "https://example.com/", nil))
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if _, err := io.Copy(io.MultiWriter(arrived, body), res.Body); err != nil {
				t.Fatal(err)
			}
			same(t, arrived, strings.ReplaceAll(text, value, placeholder), times)
		})
	}
}

// All requests that one connection may have at one time are with the server before it
// answers any.
func TestOneConnectionHasItsFillOfRequests(t *testing.T) {
	var there, dials atomic.Int32
	all := make(chan struct{})
	w := newWorld(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/wait" {
			if there.Add(1) == maxStreams {
				close(all)
			}
			<-all
		}
		fmt.Fprintf(w, "%d %d %s %s", r.ProtoMajor, strings.Count(string(body), value), r.Header.Get("X-Key"), body)
	}, "example.com")
	client := w.client(true)
	transport := client.Transport.(*http.Transport)
	transport.HTTP2 = &http.HTTP2Config{StrictMaxConcurrentRequests: true}
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		dials.Add(1)
		return w.dial(ctx, true)
	}
	ask := func(path string, i int) {
		said := fmt.Sprintf("%d in %s, and again %s.", i, placeholder, strings.Repeat(placeholder, i))
		r := request(t, "POST", "https://example.com"+path, strings.NewReader(said))
		r.Header.Set("X-Key", fmt.Sprintf("%d %s", i, placeholder))
		res, err := client.Do(r)
		if err != nil {
			t.Error(err)
			return
		}
		defer res.Body.Close()
		want := fmt.Sprintf("2 %d %d %s %s", i+1, i, placeholder, said)
		if body, err := io.ReadAll(res.Body); err != nil || string(body) != want {
			t.Errorf("%d: %q, %v", i, body, err)
		}
	}
	ask("/", 0) // the connection is there
	var wait sync.WaitGroup
	for i := range maxStreams {
		wait.Go(func() { ask("/wait", i) })
	}
	wait.Wait()
	if n := dials.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}
