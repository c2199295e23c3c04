package sniff

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
)

var errHead = errors.New("bad HTTP request")

// Host returns the name of the host that an HTTP/1 request is for, without its port, or
// empty if it has none. complete is false if more bytes are needed. It is an error if the
// head is longer than Max, or if servers could see two hosts in it: several Host lines, or
// one that is not that of the target, a CONNECT included.
func Host(b []byte) (host string, complete bool, err error) {
	for len(b) > 0 && (b[0] == '\r' || b[0] == '\n') {
		b = b[1:]
	}
	tooLong := len(b) >= Max
	b = b[:min(len(b), Max)]
	line, rest, whole := cutLine(b)
	if !whole {
		return incomplete(tooLong)
	}
	target, err := targetHost(line)
	if err != nil {
		return "", false, err
	}
	hosts := 0
	for {
		line, rest, whole = cutLine(rest)
		if !whole {
			return incomplete(tooLong)
		}
		if line == "" {
			break
		}
		name, value, isField := strings.Cut(line, ":")
		switch {
		case !isField, strings.ContainsAny(name, " \t"): // also folded lines, which are obsolete
			return "", false, fmt.Errorf("%w: a line is no header", errHead)
		case strings.EqualFold(name, "Host"):
			hosts++
			host = withoutPort(strings.Trim(value, " \t"))
		}
	}
	switch {
	case hosts > 1:
		return "", false, fmt.Errorf("%w: it has %d Host headers", errHead, hosts)
	case strings.ContainsAny(host, " \t,@/\x00"):
		return "", false, fmt.Errorf("%w: its Host is none", errHead)
	case target != "" && hosts == 1 && !strings.EqualFold(target, host):
		return "", false, fmt.Errorf("%w: its target is on another host than its Host", errHead)
	case target != "":
		host = target
	}
	return host, true, nil
}

func incomplete(tooLong bool) (string, bool, error) {
	if tooLong {
		return "", false, fmt.Errorf("%w: its head is longer than %d", errHead, Max)
	}
	return "", false, nil
}

// cutLine returns the first line, without its end. A bare CR within a line is kept: it
// makes the line bad where that matters.
func cutLine(b []byte) (line string, rest []byte, whole bool) {
	before, rest, whole := bytes.Cut(b, []byte{'\n'})
	return string(bytes.TrimSuffix(before, []byte{'\r'})), rest, whole
}

// targetHost returns the host in a request line: empty for a path, or *.
func targetHost(line string) (string, error) {
	method, rest, _ := strings.Cut(line, " ")
	target, version, ok := strings.Cut(rest, " ")
	if !ok || target == "" || strings.ContainsAny(target, "\t\r\x00") || !strings.HasPrefix(version, "HTTP/1.") {
		return "", fmt.Errorf("%w: bad request line", errHead)
	}
	if method == "CONNECT" {
		return withoutPort(target), nil
	}
	if target[0] == '/' || target == "*" {
		return "", nil
	}
	_, authority, ok := strings.Cut(target, "://")
	if !ok {
		return "", fmt.Errorf("%w: bad target", errHead)
	}
	if end := strings.IndexAny(authority, "/?#\\"); end >= 0 {
		authority = authority[:end]
	}
	if authority == "" || strings.Contains(authority, "@") {
		return "", fmt.Errorf("%w: bad target", errHead)
	}
	return withoutPort(authority), nil
}

// withoutPort returns the host of "host", "host:port", "[address]" and "[address]:port".
func withoutPort(authority string) string {
	if host, _, err := net.SplitHostPort(authority); err == nil {
		return host
	}
	return strings.TrimSuffix(strings.TrimPrefix(authority, "["), "]")
}
