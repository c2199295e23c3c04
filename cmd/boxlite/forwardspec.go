package main

import (
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
)

// endpoint is one end of a forward: a network and an address, as package net has
// them.
type endpoint struct{ network, address string }

func (e endpoint) String() string {
	if e.network == "unix" {
		return "unix:" + e.address
	}
	return e.address
}

// forwardSpec says which address on the host stands for which in the box.
type forwardSpec struct{ local, remote endpoint }

// hasPort reports whether an endpoint is one of TCP with that port.
func (e endpoint) hasPort(port string) bool {
	return e.network == "tcp" && strings.HasSuffix(e.address, ":"+port)
}

// dialed returns the end that is connected to.
func (f forwardSpec) dialed(reverse bool) endpoint {
	if reverse {
		return f.local
	}
	return f.remote
}

// parseForward reads LOCAL:REMOTE.
func parseForward(text string) (f forwardSpec, err error) {
	wrong := func(why string) (forwardSpec, error) {
		return forwardSpec{}, usagef("can't forward %q: %s", text, why)
	}
	local, remote, ok := splitForward(text)
	if !ok {
		return wrong("write it as LOCAL:REMOTE, such as 8080:80 or unix:/tmp/s:unix:/run/s")
	}
	if f.local, err = parseEndpoint(local); err != nil {
		return wrong(err.Error())
	}
	if f.remote, err = parseEndpoint(remote); err != nil {
		return wrong(err.Error())
	}
	if f.remote.network == "unix" && !strings.HasPrefix(f.remote.address, "/") {
		return wrong("a path in the box must be absolute")
	}
	if f.local.network == "unix" {
		if f.local.address, err = filepath.Abs(f.local.address); err != nil {
			return wrong(err.Error())
		}
	}
	return f, nil
}

// splitForward finds the colon between the two ends. Either may have colons itself.
func splitForward(text string) (local, remote string, ok bool) {
	if before, after, found := strings.Cut(text, ":unix:"); found && before != "unix" && before != "" {
		return before, "unix:" + after, true
	}
	// What remains is a port, or HOST:PORT if the local end does not take the colon.
	at := strings.LastIndexByte(text, ':')
	if at < 0 {
		return "", "", false
	}
	return text[:at], text[at+1:], true
}

type endpointError string

func (e endpointError) Error() string { return string(e) }

// parseEndpoint reads PORT, ADDR:PORT or unix:PATH. A port alone is one of the
// loopback.
func parseEndpoint(text string) (endpoint, error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		if path == "" {
			return endpoint{}, endpointError("there is no path after unix:")
		}
		return endpoint{"unix", path}, nil
	}
	host, port := "127.0.0.1", text
	if at := strings.LastIndexByte(text, ':'); at >= 0 {
		host, port = strings.TrimSuffix(strings.TrimPrefix(text[:at], "["), "]"), text[at+1:]
		if host == "localhost" {
			host = "127.0.0.1"
		}
		if _, err := netip.ParseAddr(host); err != nil {
			return endpoint{}, endpointError(strconv.Quote(host) + " is not an IP address")
		}
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return endpoint{}, endpointError(strconv.Quote(port) + " is not a port")
	}
	return endpoint{"tcp", net.JoinHostPort(host, port)}, nil
}
