package guest

import (
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// codec is gRPC's for protobuf, with a shorter way for large output.
type codec struct{ encoding.CodecV2 }

// Marshal implements encoding.CodecV2. An outputMessage becomes an AttachResponse
// that refers to the block of its data, rather than to a copy of it.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	m, ok := v.(outputMessage)
	if !ok {
		return c.CodecV2.Marshal(v)
	}
	return m.marshal(), nil
}

// outputMessage is an AttachResponse with output from a buffer.
type outputMessage struct{ chunk }

// marshal takes over the chunk's hold on its block. The numbers are those of the
// fields in execution.proto.
func (m outputMessage) marshal() mem.BufferSlice {
	const fieldStdout, fieldStderr, fieldData, fieldOffset = 2, 3, 1, 2
	var tail []byte
	tail = protowire.AppendTag(tail, fieldOffset, protowire.VarintType)
	tail = protowire.AppendVarint(tail, m.offset)
	var inner []byte
	inner = protowire.AppendTag(inner, fieldData, protowire.BytesType)
	inner = protowire.AppendVarint(inner, uint64(len(m.data)))

	field := protowire.Number(fieldStdout)
	if m.stream == stderr {
		field = fieldStderr
	}
	head := protowire.AppendTag(nil, field, protowire.BytesType)
	head = protowire.AppendVarint(head, uint64(len(inner)+len(m.data)+len(tail)))
	head = append(head, inner...)
	return mem.BufferSlice{mem.SliceBuffer(head), mem.NewBuffer(&m.data, releaser{m.block}), mem.SliceBuffer(tail)}
}

// leastWhole is how much output is sent without a copy: gRPC keeps no track of
// small buffers, and a copy of them costs little.
const leastWhole = 16 << 10

// releaser lets go of a block when gRPC has sent what is in it.
type releaser struct{ block *block }

// Get implements mem.BufferPool; nothing asks for it.
func (releaser) Get(n int) *[]byte {
	p := make([]byte, n)
	return &p
}

// Put implements mem.BufferPool.
func (r releaser) Put(*[]byte) { r.block.release() }
