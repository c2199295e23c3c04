package virtio_test

import (
	"encoding/binary"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio"
)

// piece is one of those that a buffer consists of.
type piece struct {
	content []byte // that the device is to read
	space   uint64 // that it may write to
}

// shape returns a buffer as the device's driver makes them for a queue.
func (g *guest) shape(q uint64) []piece {
	le := binary.LittleEndian
	size := 16 << (g.byte() % 9)
	switch g.device.ID() {
	case virtio.IDBlock: // 5.2.6
		kind := []uint32{0, 0, 1, 1, 4, 8, 11, 13}[g.byte()%8]
		header := le.AppendUint32(nil, kind)
		header = le.AppendUint64(append(header, 0, 0, 0, 0), uint64(g.byte())<<3)
		pieces := []piece{{content: header}}
		for range g.byte() % 4 {
			switch kind {
			case 0, 8:
				pieces = append(pieces, piece{space: 512 * (uint64(g.byte()%4) + 1)})
			case 1:
				pieces = append(pieces, piece{content: make([]byte, 512*(int(g.byte()%4)+1))})
			case 11, 13:
				part := le.AppendUint64(nil, uint64(g.byte())<<3)
				part = le.AppendUint32(part, uint32(g.byte()))
				pieces = append(pieces, piece{content: le.AppendUint32(part, uint32(g.byte()%16/15))})
			}
		}
		return append(pieces, piece{space: 1})
	case virtio.IDSocket: // 5.10.6
		if q != 1 {
			return []piece{{space: uint64(size) + 44}}
		}
		payload := []byte{}
		operation := uint16(g.byte() % 9)
		if operation == 5 {
			payload = make([]byte, size)
		}
		header := le.AppendUint64(le.AppendUint64(nil, 3), 2)
		header = le.AppendUint32(le.AppendUint32(header, uint32(g.byte()%4)), uint32(g.byte()%4))
		header = le.AppendUint32(header, uint32(len(payload)))
		header = le.AppendUint16(le.AppendUint16(header, 1), operation)
		header = le.AppendUint32(le.AppendUint32(header, uint32(g.byte()%4)), 64<<10)
		return []piece{{content: le.AppendUint32(header, uint32(g.number()))}, {content: payload}}
	case virtio.IDNetwork: // 5.1.6
		if q == 0 {
			return []piece{{space: 2048}}
		}
		return []piece{{content: make([]byte, 12)}, {content: make([]byte, 14+size)}}
	case virtio.IDBalloon: // 5.5.6
		if q == 2 {
			return []piece{{space: uint64(size) << 4}}
		}
		var pages []byte
		for range g.byte() % 8 {
			pages = le.AppendUint32(pages, uint32(g.number()))
		}
		return []piece{{content: pages}}
	case virtio.IDRandom:
		return []piece{{space: uint64(size)}}
	}
	return []piece{{content: make([]byte, size)}}
}

// descriptor is one (2.7.5), of which anything may be wrong.
type descriptor struct {
	address, length uint64
	flags, next     uint16
}

// deviate makes one in so many descriptors wrong.
func (g *guest) deviate(d *descriptor) {
	switch g.byte() {
	case 0:
		d.address = g.number()
	case 1:
		d.length = g.number()
	case 2:
		d.flags = uint16(g.number())
	case 3:
		d.next = uint16(g.number())
	case 4:
		d.flags, d.next = 1, uint16(g.number())
	case 5:
		d.flags ^= 2
	case 6, 7: // a table of what was read before
		d.flags, d.length = 4, 16*(1+d.length%8)
	}
}

// table has the descriptor lead to a table of its own (2.7.5.3), of pieces that follow it.
func (g *guest) table(d *descriptor) {
	n := uint64(g.byte()%4) + 1
	var table []byte
	for i := range n {
		e := descriptor{address: d.address + 512*(i+1), length: uint64(g.byte()), flags: d.flags & 2, next: uint16(i) + 1}
		if i+1 < n || g.byte() == 0 {
			e.flags |= 1
		}
		if g.byte()%64 == 0 {
			e.next = uint16(n) // just behind the table
		}
		g.deviate(&e)
		table = e.append(table)
	}
	copy(g.bytes(d.address, dataSize), table)
	d.flags, d.length = 4, 16*n
}

func (d *descriptor) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, d.address)
	b = binary.LittleEndian.AppendUint32(b, uint32(d.length))
	return binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(b, d.flags), d.next)
}

// offer makes a buffer available in a queue that is set up well.
func (g *guest) offer() {
	if status := g.get(regStatus); status != 15 && g.byte()%4 == 0 {
		g.negotiate() // there are few who would take it
	}
	q := uint64(g.byte()) % uint64(len(g.device.QueueSizes()))
	size := uint64(g.sizes[q])
	if size == 0 || size > 1024 {
		return
	}
	base := hostileQueues * (q + 1)
	pieces := g.shape(q)
	head := g.head
	for i, p := range pieces {
		slot := g.head % uint16(size)
		g.head++
		d := descriptor{address: dataStart + uint64(slot)*dataSize, length: uint64(len(p.content)), next: g.head % uint16(size)}
		if p.content == nil {
			d.length, d.flags = p.space, 2
		}
		copy(g.bytes(d.address, dataSize), p.content)
		if i+1 < len(pieces) {
			d.flags |= 1
		}
		if i+1 == len(pieces) && g.byte()%8 == 0 {
			g.table(&d)
		}
		g.deviate(&d)
		copy(g.bytes(base+16*uint64(slot), 16), d.append(nil))
	}
	avail := g.bytes(base+16*size, 4+2*size+2)
	index := virtio.Load16(avail, 2)
	head %= uint16(size)
	switch g.byte() {
	case 0:
		index += uint16(g.number())
	case 1:
		head = uint16(g.number())
	}
	binary.LittleEndian.PutUint16(avail[4+2*(uint64(index)%size):], head)
	virtio.Store16(avail, 2, index+1)
	if g.byte()%4 != 0 {
		g.set(virtio.RegQueueNotify, q)
	}
}
