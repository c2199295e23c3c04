package substitute

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// maxPayload is how much of a message is sent in one frame.
const maxPayload = 64 << 10

// errEnded is the error of a message that the source ended in, between two frames.
var errEnded = errors.New("the source ended within a message")

// Frames copies the frames of a WebSocket (RFC 6455) from src to dst, until src ends after a
// whole frame. It replaces in text and binary messages, and in the reason of a close. What
// comes of a message is sent on at once but for what may become a match, so a long frame
// becomes several. The payload of pings and pongs stays as it is: an answer must have the
// payload of the question.
//
// masked tells that the frames are a client's, which are masked; they are masked again with
// new keys. It is an error if a frame is not as the RFC wants it. Frames of extensions, as
// permessage-deflate, are one: the handshake must not agree on any.
func Frames(dst io.Writer, src io.Reader, masked bool, r *Replacer) error {
	f := &frames{
		dst: dst, src: bufio.NewReaderSize(src, bufferSize), masked: masked, replacer: r,
		out: make([]byte, maxHeader+maxPayload),
	}
	f.replaced = f
	var scan *scanner
	if !r.isEmpty() {
		scan = newScanner(r, f)
		f.replaced = scan
	}
	for {
		if err := f.header(); err != nil {
			if err == io.EOF {
				return nil
			}
			return err
		}
		if err := f.message(); err != nil {
			if errors.Is(err, errEnded) {
				return nil
			}
			return err
		}
		if scan != nil {
			scan.reset(f)
		}
	}
}

// frames is one direction of a connection. As a reader it is the payload of a message.
type frames struct {
	dst      io.Writer
	src      *bufio.Reader
	masked   bool
	replacer *Replacer
	replaced io.Reader // of frames

	in        header // of the data frame being read
	place     uint64 // in its payload
	inMessage bool
	out       []byte // a frame to send: room for a header, then the payload
}

// message copies a message, the first header of which is in.
func (f *frames) message() error {
	opcode := f.in.opcode
	for {
		n, err := f.replaced.Read(f.out[maxHeader:])
		if n > 0 || err == io.EOF {
			out := header{opcode: opcode, final: err == io.EOF, length: uint64(n), masked: f.masked}
			if err := f.send(out); err != nil {
				return err
			}
			opcode = opContinuation
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// send sends a frame whose payload is in out.
func (f *frames) send(h header) error {
	if err := h.newKey(); err != nil {
		return err
	}
	payload := f.out[maxHeader : maxHeader+int(h.length)]
	h.mask(payload, 0)
	_, err := f.dst.Write(f.out[h.put(f.out[:maxHeader]) : maxHeader+len(payload)])
	return err
}

// Read reads from the payload of a message. It returns io.EOF together with the last bytes,
// so that they are sent in the last frame.
func (f *frames) Read(b []byte) (int, error) {
	for f.place == f.in.length {
		if f.in.final {
			f.inMessage = false
			return 0, io.EOF
		}
		if err := f.header(); err != nil {
			if err == io.EOF {
				return 0, errEnded
			}
			return 0, err
		}
	}
	b = b[:min(uint64(len(b)), f.in.length-f.place)]
	n, err := f.src.Read(b)
	f.in.mask(b[:n], f.place)
	f.place += uint64(n)
	if err != nil {
		return n, cutOff(err)
	}
	if f.place == f.in.length && f.in.final {
		f.inMessage = false
		return n, io.EOF
	}
	return n, nil
}

// header reads the header of the next data frame, and copies the control frames before it.
func (f *frames) header() error {
	for {
		h, err := readHeader(f.src, f.masked)
		switch {
		case err != nil:
			return err
		case h.isControl():
			if err := f.control(h); err != nil {
				return err
			}
			continue
		case f.inMessage && h.opcode != opContinuation:
			return fmt.Errorf("%w: a message begins within another", errFrame)
		case !f.inMessage && h.opcode == opContinuation:
			return fmt.Errorf("%w: it continues no message", errFrame)
		}
		f.in, f.place, f.inMessage = h, 0, true
		return nil
	}
}

// control copies a control frame. Data may be in out at this time.
func (f *frames) control(h header) error {
	var b [maxHeader + maxControl]byte
	payload := b[maxHeader : maxHeader+h.length]
	if _, err := io.ReadFull(f.src, payload); err != nil {
		return cutOff(err)
	}
	if h.opcode == opClose && len(payload) > 2 {
		h.mask(payload, 0)
		reason := cut(f.replacer.String(string(payload[2:])), maxControl-2)
		h.length = uint64(2 + copy(b[maxHeader+2:], reason))
		payload = b[maxHeader : maxHeader+h.length]
		if err := h.newKey(); err != nil {
			return err
		}
		h.mask(payload, 0)
	}
	_, err := f.dst.Write(b[h.put(b[:maxHeader]) : maxHeader+len(payload)])
	return err
}

// cut shortens s to a length, at the beginning of a character.
func cut(s string, length int) string {
	if len(s) <= length {
		return s
	}
	for length > 0 && !utf8.RuneStart(s[length]) {
		length--
	}
	return s[:length]
}
