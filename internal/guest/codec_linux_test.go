package guest

import (
	"bytes"
	"testing"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"

	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

// TestOutputMessage: what is sent without a copy is what protobuf would have made.
func TestOutputMessage(t *testing.T) {
	c := codec{encoding.GetCodecV2(proto.Name)}
	for _, test := range []struct {
		stream int
		offset uint64
		size   int
	}{{stdout, 0, blockSize}, {stderr, 1 << 60, leastWhole}, {stdout, 300, blockSize - 1}} {
		b := newBlock(takeBuffer(), test.size)
		for i := range b.data {
			b.data[i] = byte(i * 7)
		}
		b.retain() // the test's hold
		sent, err := c.Marshal(outputMessage{chunk{stream: test.stream, offset: test.offset, data: b.data, block: b}})
		if err != nil {
			t.Fatal(err)
		}
		var got boxlitev1.AttachResponse
		if err := c.Unmarshal(sent, &got); err != nil {
			t.Fatal(err)
		}
		out := got.GetStdout()
		if test.stream == stderr {
			out = got.GetStderr()
		}
		if out.GetOffset() != test.offset || !bytes.Equal(out.GetData(), b.data) {
			t.Errorf("%+v: got %d bytes at %d", test, len(out.GetData()), out.GetOffset())
		}
		sent.Free()
		if refs := b.refs.Load(); refs != 1 {
			t.Errorf("%+v: %d hold the block after it was sent", test, refs)
		}
		b.release()
	}
}
