package substitute

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// frame is a frame as tests write and read it.
type frame struct {
	Opcode  byte
	Final   bool
	Payload string
}

// encode writes frames; masked ones have the key "mask".
func encode(masked bool, frames ...frame) []byte {
	var b bytes.Buffer
	for _, f := range frames {
		h := header{opcode: f.Opcode, final: f.Final, length: uint64(len(f.Payload)), masked: masked, key: [4]byte([]byte("mask"))}
		var head [maxHeader]byte
		b.Write(head[h.put(head[:]):])
		payload := []byte(f.Payload)
		h.mask(payload, 0)
		b.Write(payload)
	}
	return b.Bytes()
}

func decode(t *testing.T, b []byte, masked bool) (all []frame) {
	t.Helper()
	src := bytes.NewReader(b)
	for {
		h, err := readHeader(src, masked)
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.length > maxPayload {
			t.Fatalf("a frame of %d bytes", h.length)
		}
		payload := make([]byte, h.length)
		if _, err := io.ReadFull(src, payload); err != nil {
			t.Fatal(err)
		}
		h.mask(payload, 0)
		all = append(all, frame{h.opcode, h.final, string(payload)})
	}
}

// messages puts messages together. Control frames come before the message that they are in.
func messages(t *testing.T, frames []frame) (all []frame) {
	t.Helper()
	var message *frame
	for _, f := range frames {
		switch {
		case f.Opcode >= opClose:
			all = append(all, f)
			continue
		case (f.Opcode == opContinuation) == (message == nil):
			t.Fatalf("the frame %v is out of order", f)
		case message == nil:
			message = &frame{Opcode: f.Opcode}
		}
		message.Payload += f.Payload
		if f.Final {
			message.Final = true
			all = append(all, *message)
			message = nil
		}
	}
	if message != nil && message.Payload != "" { // of one that the source ended in, nothing may be left
		all = append(all, *message)
	}
	return all
}

func TestFrames(t *testing.T) {
	const ping, pong = 0x9, opPong
	secret := []Pair{{"secret", "S"}, {"P", "placeholder"}}
	for _, test := range []struct {
		name     string
		in, want []frame
	}{
		{"nothing", nil, nil},
		{"a text", []frame{{opText, true, "the secret."}}, []frame{{opText, true, "the S."}}},
		{"a binary message", []frame{{opBinary, true, "\x00secret\xff"}}, []frame{{opBinary, true, "\x00S\xff"}}},
		{"an empty message", []frame{{opText, true, ""}}, []frame{{opText, true, ""}}},
		{"one that grows", []frame{{opText, true, strings.Repeat("P", 13)}}, []frame{{opText, true, strings.Repeat("placeholder", 13)}}},
		{
			"fragments are sent on as they come",
			[]frame{{opText, false, "a sec"}, {opContinuation, false, ""}, {opContinuation, false, "ret b"}, {opContinuation, true, ""}},
			[]frame{{opText, false, "a "}, {opContinuation, false, "S b"}, {opContinuation, true, ""}},
		},
		{
			"control frames pass between",
			[]frame{{opText, false, "sec"}, {ping, true, "secret"}, {opContinuation, true, "ret"}, {pong, true, ""}},
			[]frame{{ping, true, "secret"}, {opText, true, "S"}, {pong, true, ""}},
		},
		{
			"messages apart",
			[]frame{{opText, true, "sec"}, {opText, true, "ret"}},
			[]frame{{opText, true, "sec"}, {opText, true, "ret"}},
		},
		{"the reason of a close", []frame{{opClose, true, "\x03\xe8secret"}}, []frame{{opClose, true, "\x03\xe8S"}}},
		{"a close without one", []frame{{opClose, true, ""}}, []frame{{opClose, true, ""}}},
		{
			"a reason that grows too long",
			[]frame{{opClose, true, "\x03\xe8" + strings.Repeat("P", 123)}},
			[]frame{{opClose, true, "\x03\xe8" + strings.Repeat("placeholder", 12)[:123]}},
		},
		{
			"a message that the source ends in",
			[]frame{{opText, false, "a sec"}},
			[]frame{{opText, false, "a "}, {opContinuation, false, "sec"}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, masked := range []bool{false, true} {
				var out bytes.Buffer
				if err := Frames(&out, bytes.NewReader(encode(masked, test.in...)), masked, New(secret)); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(test.want, decode(t, out.Bytes(), masked)); diff != "" {
					t.Errorf("masked %v: (-want +got)\n%s", masked, diff)
				}
			}
		})
	}
}

func TestFramesRefused(t *testing.T) {
	long := func(b ...byte) string { return string([]byte{0x82, 127}) + string(b) }
	for _, test := range []struct {
		name, in, want string
		masked         bool
	}{
		{"an extension", "\xc1\x00", "extension", false},
		{"an unknown opcode", "\x83\x00", "opcode is 3", false},
		{"an unknown control frame", "\x8b\x00", "opcode is 11", false},
		{"a masked one from a server", "\x81\x80mask", "from a server and masked", false},
		{"one without mask from a client", "\x81\x00", "from a client and not masked", true},
		{"a negative length", long(255, 255, 255, 255, 255, 255, 255, 255), "length", false},
		{"a length too short for 8 bytes", long(0, 0, 0, 0, 0, 0, 255, 255), "length", false},
		{"a length too short for 2 bytes", "\x82\x7e\x00\x7d", "length", false},
		{"a long ping", "\x89\x7e\x00\x7e", "control frame", false},
		{"a fragmented ping", "\x09\x00", "control frame", false},
		{"a continuation of nothing", "\x80\x00", "continues no message", false},
		{"a continuation of a whole message", "\x81\x00\x80\x00", "continues no message", false},
		{"a message within another", "\x01\x00\x81\x00", "within another", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, r := range []*Replacer{nil, New([]Pair{{"a", "b"}})} {
				err := Frames(io.Discard, strings.NewReader(test.in), test.masked, r)
				if !errors.Is(err, errFrame) || !strings.Contains(err.Error(), test.want) {
					t.Errorf("error %v, want one with %q", err, test.want)
				}
			}
		})
	}
}

func TestFramesCutOff(t *testing.T) {
	whole := encode(true, frame{opText, true, strings.Repeat("a secret ", 20)}, frame{opClose, true, "\x03\xe8bye"})
	ends := map[int]bool{0: true, len(whole): true, len(encode(true, frame{opText, true, strings.Repeat("a secret ", 20)})): true}
	for n := range len(whole) + 1 {
		err := Frames(io.Discard, bytes.NewReader(whole[:n]), true, New([]Pair{{"secret", "S"}}))
		if ends[n] && err != nil || !ends[n] && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut off after %d bytes: %v", n, err)
		}
	}
}

func TestFramesKeepErrors(t *testing.T) {
	failure := errors.New("failure")
	in := encode(false, frame{opText, false, "a secret sec"})
	var out bytes.Buffer
	err := Frames(&out, io.MultiReader(bytes.NewReader(in), iotest.ErrReader(failure)), false, New([]Pair{{"secret", "S"}}))
	if !errors.Is(err, failure) {
		t.Errorf("error %v", err)
	}
	if got := messages(t, decode(t, out.Bytes(), false)); len(got) != 1 || got[0].Payload != "a S sec" {
		t.Errorf("before the error came %v", got)
	}
	for _, in := range [][]byte{in, encode(false, frame{opClose, true, ""})} {
		if err := Frames(failingWriter{failure}, bytes.NewReader(in), false, nil); !errors.Is(err, failure) {
			t.Errorf("a destination that fails: %v", err)
		}
	}
}

type failingWriter struct{ err error }

func (f failingWriter) Write([]byte) (int, error) { return 0, f.err }

func TestFramesAreAsTheModel(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 1000 {
		var pairs []Pair
		for range random.IntN(4) {
			pairs = append(pairs, Pair{text(random, 5), text(random, 5)})
		}
		var in, want []frame
		for range random.IntN(4) {
			var whole string
			opcode := byte(opText + random.IntN(2))
			for first := true; ; first = false {
				f := frame{Opcode: opcode, Final: random.IntN(3) == 0, Payload: text(random, 20)}
				if !first {
					f.Opcode = opContinuation
				}
				whole += f.Payload
				in = append(in, f)
				if f.Final {
					break
				}
				if random.IntN(3) == 0 {
					ping := frame{0x9, true, text(random, 9)}
					in, want = append(in, ping), append(want, ping)
				}
			}
			want = append(want, frame{opcode, true, model(pairs, whole)})
		}
		for _, masked := range []bool{false, true} {
			var out bytes.Buffer
			src := &pieces{random, string(encode(masked, in...))}
			if err := Frames(&out, src, masked, New(pairs)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, messages(t, decode(t, out.Bytes(), masked))); diff != "" {
				t.Fatalf("%q, %v: (-want +got)\n%s", pairs, in, diff)
			}
		}
	}
}

// A frame may say that it has more bytes than there is memory; what comes of it is sent on.
func TestFramesOfAnyLengthAreSentOnAsTheyCome(t *testing.T) {
	in, client := io.Pipe()
	server, out := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := Frames(out, in, true, New([]Pair{{"secret", "S"}}))
		out.Close()
		done <- err
	}()
	h := header{opcode: opBinary, final: true, length: math.MaxInt64, masked: true, key: [4]byte([]byte("mask"))}
	var head [maxHeader]byte
	if _, err := client.Write(head[h.put(head[:]):]); err != nil {
		t.Fatal(err)
	}
	received := bufio.NewReader(server)
	var place uint64
	for i, part := range []string{"first", "the secret.", "third"} {
		b := []byte(part)
		h.mask(b, place)
		place += uint64(len(b))
		if _, err := client.Write(b); err != nil {
			t.Fatal(err)
		}
		got, err := readHeader(received, true)
		if err != nil || got.final || (got.opcode == opBinary) != (i == 0) {
			t.Fatalf("the header %+v, %v", got, err)
		}
		payload := make([]byte, got.length)
		if _, err := io.ReadFull(received, payload); err != nil {
			t.Fatal(err)
		}
		got.mask(payload, 0)
		if want := strings.Replace(part, "secret", "S", 1); string(payload) != want {
			t.Errorf("%q came as %q", part, payload)
		}
	}
	client.Close()
	if err := <-done; !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("at the end: %v", err)
	}
}

func TestEachFrameHasItsOwnKey(t *testing.T) {
	var out bytes.Buffer
	f := frame{opText, true, "abc"}
	if err := Frames(&out, bytes.NewReader(encode(true, f, f, f)), true, nil); err != nil {
		t.Fatal(err)
	}
	keys := map[[4]byte]bool{{'m', 'a', 's', 'k'}: true}
	for b := out.Bytes(); len(b) > 0; b = b[9:] {
		keys[[4]byte(b[2:6])] = true
	}
	if len(keys) < 3 { // two of four may be equal once in a lifetime
		t.Errorf("there are %d keys", len(keys))
	}
}
