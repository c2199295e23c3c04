package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// one does one ordinary thing.
func one(ctx context.Context, args []string) (string, error) {
	switch {
	case args[0] == "get" && len(args) >= 2:
		return get(ctx, args[1], args[2:])
	case args[0] == "resolve" && len(args) == 2:
		addrs, err := net.DefaultResolver.LookupHost(ctx, args[1])
		slices.Sort(addrs)
		return strings.Join(addrs, " "), err
	case args[0] == "echo" && len(args) == 4:
		return ask(ctx, args[1], args[2], args[3])
	case args[0] == "ping" && len(args) == 2:
		return ping(ctx, args[1], "ordinary data")
	case args[0] == "websocket" && len(args) == 4:
		return webSocket(ctx, args[1], args[2], args[3])
	case args[0] == "serve" && len(args) == 2:
		return serve(args[1])
	case args[0] == "hold" && len(args) == 3:
		return hold(args[1], args[2])
	case args[0] == "many" && len(args) == 3:
		return many(ctx, args[1], args[2])
	}
	return "", fmt.Errorf("can't do %q", args)
}

// get fetches a page: URL, then headers "Name: value", "-d" and a body, or "-k" to trust
// any certificate. It fails unless the status is 200.
func get(ctx context.Context, url string, args []string) (string, error) {
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{}, DisableKeepAlives: true}
	method, body := http.MethodGet, ""
	header := http.Header{}
	for i := 0; i < len(args); i++ {
		switch args[i] {
		case "-k":
			transport.TLSClientConfig.InsecureSkipVerify = true
		case "-1":
			transport.ForceAttemptHTTP2 = false
			transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
		case "-d":
			i++
			method, body = http.MethodPost, args[i]
		default:
			name, value, _ := strings.Cut(args[i], ": ")
			header.Set(name, value)
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	request.Header = header
	response, err := transport.RoundTrip(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s, denied by %q", response.Status, response.Header.Get("X-Boxlite-Denied"))
	}
	return string(text), err
}

// webSocket sends a message and returns the one that comes back.
func webSocket(ctx context.Context, scheme, host, text string) (string, error) {
	conn, _, err := websocket.Dial(ctx, scheme+"://"+host+"/socket", nil)
	if err != nil {
		return "", err
	}
	defer conn.CloseNow()
	if err := conn.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		return "", err
	}
	_, back, err := conn.Read(ctx)
	if err != nil {
		return "", err
	}
	return string(back), conn.Close(websocket.StatusNormalClosure, "")
}

// serve greets whoever connects or sends, with the address that it comes from, forever.
func serve(port string) (string, error) {
	l, err := net.Listen("tcp", ":"+port)
	if err != nil {
		return "", err
	}
	packets, err := net.ListenPacket("udp", ":"+port)
	if err != nil {
		return "", err
	}
	fmt.Println("listening")
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, from, err := packets.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = packets.WriteTo([]byte("hello from box to "+from.String()+": "+string(buf[:n])+"\n"), from)
		}
	}()
	for {
		conn, err := l.Accept()
		if err != nil {
			return "", err
		}
		go func() {
			defer conn.Close()
			fmt.Fprintf(conn, "hello from box to %s\n", conn.RemoteAddr())
			_, _ = io.Copy(conn, conn)
		}()
	}
}

// hold keeps a connection that works, tells of it, and waits until it ends. Its input is
// sent; the end of that ends the connection.
func hold(addr, send string) (string, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, send); err != nil {
		return "", err
	}
	buf := make([]byte, 4096)
	if _, err := conn.Read(buf); err != nil {
		return "", err
	}
	fmt.Println("held")
	go func() {
		_, _ = io.Copy(conn, os.Stdin)
		_ = conn.Close()
	}()
	for {
		if _, err := conn.Read(buf); err != nil {
			return err.Error(), nil
		}
	}
}

// many opens connections until one fails or there are enough, and counts them.
func many(ctx context.Context, addr, count string) (string, error) {
	var wanted int
	if err := json.Unmarshal([]byte(count), &wanted); err != nil {
		return "", err
	}
	open := 0
	for range wanted {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err != nil {
			break
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(patience))
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			break
		}
		open++
	}
	return fmt.Sprint(open), nil
}

// fine is what an allow list of *.wild.example, allowed.example, v4.allowed.example,
// alias.example and bücher.example permits.
func fine() []attempt {
	var list []attempt
	for _, url := range []string{
		"http://allowed.example/", "http://allowed.example:8080/", "https://allowed.example/", "https://allowed.example:8443/",
		"http://ALLOWED.Example/", "http://allowed.example./", "http://alias.example/", "https://alias.example/",
		"http://a.wild.example/", "https://a.b.c.wild.example/", "https://A.B.Wild.Example/", "http://xn--bcher-kva.example/",
	} {
		list = append(list, attempt{"get " + url, func(ctx context.Context) (string, error) {
			got, err := get(ctx, url, []string{"-k"})
			if err != nil {
				return got, err
			}
			return judge(got)
		}})
	}
	list = append(list,
		attempt{"get over http/2", func(ctx context.Context) (string, error) {
			got, err := get(ctx, "https://allowed.example/", []string{"-k"})
			if err == nil && !strings.Contains(got, "HTTP/2") {
				err = errors.New("not HTTP/2")
			}
			return got, err
		}},
		attempt{"get over http/1.1", func(ctx context.Context) (string, error) {
			return get(ctx, "https://allowed.example/", []string{"-k", "-1"})
		}},
		attempt{"keep-alive", func(ctx context.Context) (string, error) {
			request := "GET / HTTP/1.1\r\nHost: " + good + "\r\n\r\n"
			got, err := ask(ctx, "tcp", good+":80", request+request+request)
			if n := strings.Count(got, "hello from"); err == nil && n != 3 {
				err = fmt.Errorf("%d answers", n)
			}
			return got, err
		}},
		attempt{"websocket", func(ctx context.Context) (string, error) {
			got, err := webSocket(ctx, "ws", good, "over and out")
			if err == nil && got != "over and out" {
				err = errors.New("not what was sent")
			}
			return got, err
		}},
		attempt{"post", func(ctx context.Context) (string, error) {
			return get(ctx, "http://allowed.example/length", []string{"-d", strings.Repeat("x", 1<<20)})
		}},
	)
	return list
}
