package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	good = "v4.allowed.example"
	bad  = "evil.example"
)

// reached fails unless the answer is of the host that no rule allows.
func reached(text string, err error) (string, error) {
	if strings.Contains(text, "hello from evil") || strings.Contains(text, "hello from other") {
		return text, nil
	}
	if err == nil {
		err = errors.New("got only what is allowed")
	}
	return text, err
}

// httpTricks are requests for another host on a connection to one that is allowed.
func httpTricks() []attempt {
	requests := map[string]string{
		"another host":          getFor(bad),
		"absolute uri":          "GET http://evil.example/ HTTP/1.1\r\nHost: " + good + "\r\n\r\n",
		"absolute uri, https":   "GET https://evil.example/ HTTP/1.1\r\nHost: " + good + "\r\n\r\n",
		"absolute uri, no host": "GET http://evil.example/ HTTP/1.0\r\n\r\n",
		"relative to another":   "GET / HTTP/1.1\r\nHost: evil.example:80\r\n\r\n",
		"connect":               "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n",
		"connect, another host": "CONNECT evil.example:443 HTTP/1.1\r\nHost: " + good + "\r\n\r\n",
		"connect to itself":     "CONNECT " + good + ":80 HTTP/1.1\r\nHost: " + good + ":80\r\n\r\n" + getFor(bad),
		"no host":               "GET / HTTP/1.0\r\n\r\n",
		"empty host":            "GET / HTTP/1.1\r\nHost:\r\n\r\n",
		"two hosts":             "GET / HTTP/1.1\r\nHost: " + good + "\r\nHost: evil.example\r\n\r\n",
		"two hosts, reversed":   "GET / HTTP/1.1\r\nHost: evil.example\r\nHost: " + good + "\r\n\r\n",
		"host with user":        "GET / HTTP/1.1\r\nHost: " + good + "@evil.example\r\n\r\n",
		"host with list":        "GET / HTTP/1.1\r\nHost: evil.example, " + good + "\r\n\r\n",
		"space before colon":    "GET / HTTP/1.1\r\nHost : evil.example\r\nHost: " + good + "\r\n\r\n",
		"folded host":           "GET / HTTP/1.1\r\nHost: " + good + "\r\nX-Other: a\r\n Host: evil.example\r\n\r\n",
		"host after nul":        "GET / HTTP/1.1\r\nHost: " + good + "\x00evil.example\r\n\r\n",
		"bare line feeds":       "GET / HTTP/1.1\nHost: evil.example\n\n",
		"upper case":            getFor("EVIL.example"),
		"final dot":             getFor("evil.example."),
		"idn":                   getFor("ev\u0456l.example"),
		"address as host":       getFor(allowedIP),
		"pipelined":             "GET / HTTP/1.1\r\nHost: " + good + "\r\n\r\n" + getFor(bad),
		"pipelined after head":  "HEAD / HTTP/1.1\r\nHost: " + good + "\r\n\r\n" + getFor(bad),
		"length and chunks":     smuggle("Content-Length: 4\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
		"chunks and length":     smuggle("Transfer-Encoding: chunked\r\nContent-Length: 4", "0\r\n\r\n"),
		"two lengths":           smuggle("Content-Length: 0\r\nContent-Length: 60", ""),
		"length with sign":      smuggle("Content-Length: +0", ""),
		"odd encoding":          smuggle("Transfer-Encoding: xchunked\r\nContent-Length: 0", ""),
		"encoding with tab":     smuggle("Transfer-Encoding:\tchunked", "0\r\n\r\n"),
		"encoding twice":        smuggle("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "0\r\n\r\n"),
		"encoding after vt":     smuggle("Transfer-Encoding: \x0bchunked\r\nContent-Length: 5", "0\r\n\r\n"),
		"chunk extension":       smuggle("Transfer-Encoding: chunked", "0;a=\"\r\n\r\n"),
		"chunk size overflow":   smuggle("Transfer-Encoding: chunked", "10000000000000000\r\n\r\n0\r\n\r\n"),
		"get with body":         strings.Replace(smuggle("Content-Length: 0", ""), "POST", "GET", 1),
		"expect, then another":  "POST / HTTP/1.1\r\nHost: " + good + "\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n" + getFor(bad),
		"upgrade to websocket":  upgrade(good) + getFor(bad),
		"upgrade to nothing":    "GET / HTTP/1.1\r\nHost: " + good + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + getFor(bad),
		"upgrade to h2c":        "GET / HTTP/1.1\r\nHost: " + good + "\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n" + getFor(bad),
		"http 0.9":              "GET /\r\n\r\n",
		"http 2.0 text":         "GET / HTTP/2.0\r\nHost: evil.example\r\n\r\n",
		"something else":        "SSH-2.0-hostile\r\n",
		"leading blank lines":   "\r\n\r\n" + getFor(bad),
		"forwarded host":        "GET / HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: " + good + "\r\n\r\n",
		"trailer host":          "POST / HTTP/1.1\r\nHost: " + good + "\r\nTransfer-Encoding: chunked\r\nTrailer: Host\r\n\r\n0\r\nHost: evil.example\r\n\r\n" + getFor(bad),
	}
	var list []attempt
	for name, text := range requests {
		list = append(list, attempt{"http, " + name, func(ctx context.Context) (string, error) {
			return reached(ask(ctx, "tcp", good+":80", text))
		}}, attempt{"http on 443, " + name, func(ctx context.Context) (string, error) {
			return reached(ask(ctx, "tcp", good+":443", text))
		}})
	}
	for _, port := range []string{"80", "8080"} {
		list = append(list,
			attempt{"another host on port " + port, func(ctx context.Context) (string, error) {
				return reached(ask(ctx, "tcp", good+":"+port, getFor(bad)))
			}},
			attempt{"in pieces on port " + port, func(ctx context.Context) (string, error) {
				conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", good+":"+port)
				if err != nil {
					return "", err
				}
				defer conn.Close()
				request := getFor(bad)
				for i := range len(request) - 1 {
					if _, err := io.WriteString(conn, request[i:i+1]); err != nil {
						return "", err
					}
				}
				return reached(talk(ctx, conn, request[len(request)-1:]))
			}},
			attempt{"http/2 without tls on port " + port, func(ctx context.Context) (string, error) {
				return reached(ask(ctx, "tcp", good+":"+port, http2Request(bad)))
			}})
	}
	list = append(list, attempt{"reused", func(ctx context.Context) (string, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", good+":80")
		if err != nil {
			return "", err
		}
		defer conn.Close()
		first, err := talk(ctx, conn, "GET / HTTP/1.1\r\nHost: "+good+"\r\n\r\n")
		if err != nil {
			return first, fmt.Errorf("the first request failed: %w", err)
		}
		return reached(talk(ctx, conn, getFor(bad)))
	}})
	return list
}

// smuggle is a request that some read as one, and some as two.
func smuggle(headers, body string) string {
	return "POST / HTTP/1.1\r\nHost: " + good + "\r\n" + headers + "\r\n\r\n" + body + getFor(bad)
}

func upgrade(host string) string {
	return "GET /ws HTTP/1.1\r\nHost: " + host + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
}

// http2Request is a connection's beginning, with a request for each host.
func http2Request(hosts ...string) string {
	var out bytes.Buffer
	out.WriteString(http2.ClientPreface)
	framer := http2.NewFramer(&out, nil)
	_ = framer.WriteSettings()
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for i, host := range hosts {
		block.Reset()
		authority, extra, _ := strings.Cut(host, "|")
		for _, field := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", authority}, {":path", "/"}} {
			if field[0] != ":authority" || authority != "" {
				_ = encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]})
			}
		}
		if extra != "" {
			_ = encoder.WriteField(hpack.HeaderField{Name: "host", Value: extra})
		}
		_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true})
	}
	return out.String()
}
