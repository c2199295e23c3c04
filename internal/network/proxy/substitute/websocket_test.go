package substitute

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// between lets a client speak to a server through Frames in both directions.
func between(t *testing.T, client, server net.Conn, toServer, toClient *Replacer) {
	fromClient, fromServer := bufio.NewReader(client), bufio.NewReader(server)
	req, err := http.ReadRequest(fromClient)
	if err != nil {
		t.Error(err)
		return
	}
	if err := req.Write(server); err != nil {
		t.Error(err)
		return
	}
	res, err := http.ReadResponse(fromServer, req)
	if err != nil {
		t.Error(err)
		return
	}
	if err := res.Write(client); err != nil {
		t.Error(err)
		return
	}
	var wait sync.WaitGroup
	wait.Go(func() {
		defer server.Close()
		if err := Frames(server, fromClient, true, toServer); err != nil {
			t.Logf("to the server: %v", err) // the other direction may have closed it
		}
	})
	wait.Go(func() {
		defer client.Close()
		if err := Frames(client, fromServer, false, toClient); err != nil {
			t.Logf("to the client: %v", err)
		}
	})
	wait.Wait()
}

// echo sends messages back, with what it got in received.
func echo(received chan<- string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		defer close(received)
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		conn.SetReadLimit(-1)
		for {
			kind, message, err := conn.Read(r.Context())
			if err != nil {
				received <- err.Error()
				return
			}
			received <- string(message)
			if conn.Write(r.Context(), kind, message) != nil {
				return
			}
		}
	}
}

func TestClientAndServerOfAnotherMake(t *testing.T) {
	received := make(chan string, 1)
	server := httptest.NewServer(echo(received))
	defer server.Close()
	var proxies sync.WaitGroup
	defer proxies.Wait()
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		guest, ours := net.Pipe()
		proxies.Go(func() {
			defer conn.Close()
			defer ours.Close()
			between(t, ours, conn, New([]Pair{{"<placeholder>", "secret"}}), New([]Pair{{"secret", "<placeholder>"}}))
		})
		return guest, nil
	}}
	conn, _, err := websocket.Dial(t.Context(), server.URL, &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	conn.SetReadLimit(-1)
	for _, message := range []string{
		"", "hello", "token=<placeholder>", strings.Repeat("<placeholder> and more, ", 50_000),
		strings.Repeat("x", 1<<16), "<placehol",
	} {
		// Frames go both ways at once where a message is longer than the buffers between.
		sent := make(chan error, 1)
		go func() { sent <- conn.Write(t.Context(), websocket.MessageText, []byte(message)) }()
		if got, want := <-received, strings.ReplaceAll(message, "<placeholder>", "secret"); got != want {
			t.Errorf("the server got %.80q, want %.80q", got, want)
		}
		kind, got, err := conn.Read(t.Context())
		if err != nil || kind != websocket.MessageText || string(got) != message {
			t.Errorf("%.80q came back as %v %.80q, %v", message, kind, got, err)
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
	}
	if err := conn.Close(websocket.StatusNormalClosure, "bye, <placeholder>"); err != nil {
		t.Error(err)
	}
	if got := <-received; !strings.Contains(got, "bye, secret") {
		t.Errorf("the server got the end %q", got)
	}
}
