package balloon

import (
	"encoding/binary"
	"slices"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio"
)

const (
	// batch is how many page numbers are looked at together. Linux has 256 in a buffer.
	batch = 1024
	// numbersLimit is how many of one buffer are looked at. More are ignored: the pages
	// are still the guest's then.
	numbersLimit = 256 * batch
	numberSize   = 4
)

// pages turns buffers with numbers of pages (5.5.6) into runs of memory. A run costs a
// system call, so the fewer the better: Linux takes its pages from where they follow each
// other, but tells of them in any order.
type pages struct {
	run     func(start, end uint64) // addresses
	numbers []uint32
}

func newPages(run func(start, end uint64)) *pages {
	return &pages{run: run, numbers: make([]uint32, 0, batch)}
}

// handle calls run for all pages that a buffer has numbers of. Numbers may be in any
// framing (2.7.4), but incomplete ones are ignored.
func (p *pages) handle(c *virtio.Chain) {
	p.numbers = p.numbers[:0]
	var split [numberSize]byte // a number that is in more than one piece
	have, left := 0, numbersLimit
	for _, b := range c.Readable {
		for len(b) > 0 && left > 0 {
			if have == 0 && len(b) >= numberSize {
				p.add(binary.LittleEndian.Uint32(b))
				b = b[numberSize:]
				left--
				continue
			}
			n := copy(split[have:], b)
			b = b[n:]
			if have += n; have == numberSize {
				p.add(binary.LittleEndian.Uint32(split[:]))
				have = 0
				left--
			}
		}
	}
	p.flush()
}

func (p *pages) add(number uint32) {
	p.numbers = append(p.numbers, number)
	if len(p.numbers) == batch {
		p.flush()
	}
}

// flush calls run for the collected numbers.
func (p *pages) flush() {
	slices.Sort(p.numbers)
	for i := 0; i < len(p.numbers); {
		first := uint64(p.numbers[i])
		end := first + 1
		for i++; i < len(p.numbers) && uint64(p.numbers[i]) <= end; i++ {
			end = uint64(p.numbers[i]) + 1
		}
		p.run(first*page, end*page)
	}
	p.numbers = p.numbers[:0]
}
