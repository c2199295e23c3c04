// Package sniff reads what the client of a flow says first, as far as that tells what the
// flow is and for whom: a TLS ClientHello's server name, the Host of an HTTP request.
//
// What it reads comes from a guest that may be hostile. Nothing is kept between calls:
// each gets all bytes so far, of which no more than [Max] are looked at, and says whether
// more are needed. What is ambiguous is an error, and never a guess.
package sniff

import "bytes"

// Max is the most that a client's first words may be.
const Max = 16 << 10

// Kind is what a stream looks like.
type Kind int

const (
	// Unknown is neither of the others.
	Unknown Kind = iota
	// TLS begins with a handshake record.
	TLS
	// HTTP begins with a request line of HTTP/1.
	HTTP
	// HTTP2 begins with the preface of HTTP/2 without TLS.
	HTTP2
)

// String returns the kind in words.
func (k Kind) String() string {
	return [...]string{"unknown", "TLS", "HTTP", "HTTP/2"}[k]
}

// preface is what a client of HTTP/2 sends first (RFC 9113, 3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// maxMethod is the longest method of HTTP that is taken for one.
const maxMethod = 32

// Classify tells what a stream is from its first bytes. With needMore it can't tell yet:
// Unknown may turn into another kind, but no kind into another one.
func Classify(b []byte) (kind Kind, needMore bool) {
	if len(b) == 0 {
		return Unknown, true
	}
	if b[0] == recordHandshake {
		return classifyTLS(b)
	}
	// A server of HTTP may skip empty lines before a request (RFC 9112, 2.2).
	for len(b) > 0 && (b[0] == '\r' || b[0] == '\n') {
		b = b[1:]
	}
	if len(b) == 0 {
		return Unknown, true
	}
	if bytes.HasPrefix(b, []byte(preface)) {
		return HTTP2, false
	}
	if bytes.HasPrefix([]byte(preface), b) {
		return Unknown, true
	}
	return classifyHTTP(b)
}

// classifyTLS looks for a handshake record of TLS 1.0 or later (RFC 8446, 5.1).
func classifyTLS(b []byte) (Kind, bool) {
	switch {
	case len(b) > 1 && b[1] != 3, len(b) > 5 && b[5] != handshakeClientHello:
		return Unknown, false
	case len(b) < 6:
		return Unknown, true
	}
	return TLS, false
}

// classifyHTTP looks for a method, a space, and the start of a target. Methods that only
// some servers know are HTTP, too, in any case.
func classifyHTTP(b []byte) (Kind, bool) {
	method, target, found := bytes.Cut(b[:min(len(b), maxMethod+2)], []byte{' '})
	if len(method) == 0 || len(method) > maxMethod {
		return Unknown, false
	}
	for _, c := range method {
		if !isToken(c) {
			return Unknown, false
		}
	}
	if !found {
		return Unknown, true
	}
	if len(target) == 0 {
		return Unknown, true
	}
	// /path, *, http://…, host:port of CONNECT
	if c := target[0]; c == '/' || c == '*' || c == '[' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' {
		return classifyLine(b)
	}
	return Unknown, false
}

// classifyLine tells a request from other protocols of words, such as SMTP: the request
// line ends with HTTP's version.
func classifyLine(b []byte) (Kind, bool) {
	line, _, whole := bytes.Cut(b[:min(len(b), Max)], []byte{'\n'})
	if !whole {
		if len(b) >= Max {
			return HTTP, false // no other protocol has lines like this
		}
		return Unknown, true
	}
	line = bytes.TrimRight(line, "\r \t")
	i := bytes.LastIndexAny(line, " \t")
	if version := bytes.ToUpper(line[i+1:]); bytes.HasPrefix(version, []byte("HTTP/")) {
		return HTTP, false
	}
	return Unknown, false
}

// isToken reports whether c may be in a method (RFC 9110, 5.6.2).
func isToken(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || bytes.IndexByte([]byte("!#$%&'*+-.^_`|~"), c) >= 0
}

// QUIC reports whether a datagram looks like the first of a QUIC connection, of whatever
// version: a long header with a version, and connection IDs that fit (RFC 8999, 5.1). The
// datagrams that begin a connection are at least 1,200 bytes long, but a smaller one is
// also taken for QUIC: a guest may not follow the rules.
func QUIC(datagram []byte) bool {
	if len(datagram) < 7 || datagram[0]&0x80 == 0 {
		return false
	}
	if [4]byte(datagram[1:5]) == [4]byte{} {
		return false // only servers send the version 0
	}
	dcid := int(datagram[5])
	if dcid > 20 || len(datagram) < 6+dcid+1 {
		return false
	}
	scid := int(datagram[6+dcid])
	return scid <= 20 && len(datagram) >= 7+dcid+scid
}
