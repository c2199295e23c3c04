package sniff

import (
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
)

// Numbers of TLS (RFC 8446; RFC 6066; RFC 7301; RFC 9849).
const (
	recordHandshake      = 22
	handshakeClientHello = 1
	maxRecord            = 1<<14 + 2048 // what TLS 1.2 allows with encryption

	extensionServerName = 0
	extensionALPN       = 16
	extensionECH        = 0xfe0d
	extensionESNI       = 0xffce // drafts of what became ECH
)

// Hello is what a TLS client says of where it wants to go.
type Hello struct {
	// SNI is the server name as sent, or empty.
	SNI string
	// ECH means that the name that counts may be encrypted, and SNI a cover for it.
	// Clients also send the extension with random content (GREASE), which nobody but
	// the server can tell apart.
	ECH bool
	// ALPN are the protocols offered.
	ALPN []string
}

var errHello = errors.New("bad ClientHello")

// ClientHello reads the first message of a TLS stream, which may be in several records.
// complete is false if more bytes are needed. An error means that the stream is not TLS,
// longer than Max, or that two readers could understand it in two ways.
func ClientHello(b []byte) (hello Hello, complete bool, err error) {
	message, complete, err := handshake(b)
	if err != nil || !complete {
		return Hello{}, false, err
	}
	hello, err = parseHello(message)
	if err != nil {
		return Hello{}, false, err
	}
	return hello, true, nil
}

// handshake puts the first handshake message together and returns its body.
func handshake(b []byte) (body []byte, complete bool, err error) {
	tooLong := len(b) >= Max
	b = b[:min(len(b), Max)]
	var message []byte
	for {
		if len(message) >= 1 && message[0] != handshakeClientHello {
			return nil, false, fmt.Errorf("%w: it is another message", errHello)
		}
		if len(message) >= 4 {
			length := int(message[1])<<16 | int(message[2])<<8 | int(message[3])
			if length > Max {
				return nil, false, fmt.Errorf("%w: its length is %d, more than %d", errHello, length, Max)
			}
			if len(message) > 4+length {
				// TLS 1.3 says that nothing may follow in the same record.
				return nil, false, fmt.Errorf("%w: something follows it", errHello)
			}
			if len(message) == 4+length {
				return message[4:], true, nil
			}
		}
		if err := checkRecord(b); err != nil {
			return nil, false, err
		}
		if len(b) < 5 {
			break
		}
		length := int(b[3])<<8 | int(b[4])
		fragment := b[5:min(len(b), 5+length)]
		message = append(message, fragment...)
		b = b[5+len(fragment):]
		if len(fragment) < length {
			break
		}
	}
	if len(message) >= 1 && message[0] != handshakeClientHello {
		return nil, false, fmt.Errorf("%w: it is another message", errHello)
	}
	if tooLong {
		return nil, false, fmt.Errorf("%w: it is longer than %d", errHello, Max)
	}
	return nil, false, nil
}

// checkRecord checks as much of a record's header as there is.
func checkRecord(b []byte) error {
	switch {
	case len(b) > 0 && b[0] != recordHandshake:
		return fmt.Errorf("%w: a record has the type %d", errHello, b[0])
	case len(b) > 1 && b[1] != 3:
		return fmt.Errorf("%w: a record has the version %d", errHello, b[1])
	case len(b) >= 5:
		if length := int(b[3])<<8 | int(b[4]); length == 0 || length > maxRecord {
			return fmt.Errorf("%w: a record has the length %d", errHello, length)
		}
	}
	return nil
}

func parseHello(message []byte) (Hello, error) {
	s := cryptobyte.String(message)
	var session, suites, compressions, extensions cryptobyte.String
	if !s.Skip(2+32) || !s.ReadUint8LengthPrefixed(&session) || !s.ReadUint16LengthPrefixed(&suites) ||
		!s.ReadUint8LengthPrefixed(&compressions) {
		return Hello{}, fmt.Errorf("%w: it is cut off", errHello)
	}
	var hello Hello
	if s.Empty() {
		return hello, nil // SSL 3 and TLS 1.0 had no extensions
	}
	if !s.ReadUint16LengthPrefixed(&extensions) || !s.Empty() {
		return Hello{}, fmt.Errorf("%w: its extensions have a wrong length", errHello)
	}
	seen := map[uint16]bool{}
	for !extensions.Empty() {
		var kind uint16
		var data cryptobyte.String
		if !extensions.ReadUint16(&kind) || !extensions.ReadUint16LengthPrefixed(&data) {
			return Hello{}, fmt.Errorf("%w: an extension is cut off", errHello)
		}
		if seen[kind] {
			return Hello{}, fmt.Errorf("%w: it has the extension %d twice", errHello, kind)
		}
		seen[kind] = true
		if err := hello.read(kind, data); err != nil {
			return Hello{}, err
		}
	}
	return hello, nil
}

func (h *Hello) read(kind uint16, data cryptobyte.String) error {
	switch kind {
	case extensionServerName:
		var list, name cryptobyte.String
		var nameType uint8
		// One name of the type host_name: there are no other types, and servers differ in
		// which of two they take.
		if !data.ReadUint16LengthPrefixed(&list) || !data.Empty() || !list.ReadUint8(&nameType) || nameType != 0 ||
			!list.ReadUint16LengthPrefixed(&name) || !list.Empty() || name.Empty() {
			return fmt.Errorf("%w: bad server name", errHello)
		}
		h.SNI = string(name)
	case extensionALPN:
		var list cryptobyte.String
		if !data.ReadUint16LengthPrefixed(&list) || !data.Empty() {
			return fmt.Errorf("%w: bad list of protocols", errHello)
		}
		for !list.Empty() {
			var protocol cryptobyte.String
			if !list.ReadUint8LengthPrefixed(&protocol) || protocol.Empty() {
				return fmt.Errorf("%w: bad list of protocols", errHello)
			}
			h.ALPN = append(h.ALPN, string(protocol))
		}
	case extensionECH, extensionESNI:
		h.ECH = true
	}
	return nil
}
