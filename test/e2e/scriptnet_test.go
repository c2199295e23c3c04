package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"

	"github.com/rogpeppe/go-internal/testscript"
)

// scriptGet fetches a page; it fails unless the answer is 200: get URL
func scriptGet(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: get URL")
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(args[0])
	var body []byte
	if err == nil {
		body, err = io.ReadAll(response.Body)
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s", response.Status)
		}
	}
	if neg != (err != nil) {
		ts.Fatalf("%q, %v", body, err)
	}
	_, _ = ts.Stdout().Write(body)
}

// scriptListen listens on a port of the host, greets whoever connects, and sets a
// variable to the port: listen NAME
func scriptListen(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: listen NAME")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "hello from the host\n")
			_ = conn.Close()
		}
	}()
	ts.Defer(func() {
		_ = l.Close()
		<-done
	})
	ts.Setenv(args[0], fmt.Sprint(l.Addr().(*net.TCPAddr).Port))
}

var publishedPort = regexp.MustCompile(`(?m)^(127\.0\.0\.1:[0-9]+) +80/tcp$`)

// scriptPublished sets $published to where the host reaches port 80 of the box web.
func scriptPublished(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: published")
	}
	ts.Check(ts.Exec("boxlite", "port", "ls", "web"))
	match := publishedPort.FindStringSubmatch(ts.ReadFile("stdout"))
	if match == nil {
		ts.Fatalf("port 80 is not published")
	}
	ts.Setenv("published", match[1])
}
