package virtio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/event"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/memory"
)

// MaxQueue is the largest size of a queue (2.7).
const MaxQueue = 32768

// Flags of descriptors (2.7.5) and rings (2.7.6, 2.7.8).
const (
	descNext     = 1
	descWrite    = 2
	descIndirect = 4

	availNoInterrupt = 1
	usedNoNotify     = 1
)

// Sizes of the rings' parts.
const (
	descSize  = 16
	ringHead  = 4 // flags and idx
	availElem = 2
	usedElem  = 8
)

// ErrQueue is that the guest's driver did not keep to the rules of queues.
var ErrQueue = errors.New("the driver broke the rules of virtio's queues")

func broken(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrQueue, fmt.Sprintf(format, args...))
}

// QueueState is what is to be known of a queue to go on with it, in this process or
// another.
type QueueState struct {
	Size  uint16 `json:"size"`
	Ready bool   `json:"ready"`
	// Desc, Avail and Used are where the queue's parts are in the guest's memory.
	Desc  uint64 `json:"desc"`
	Avail uint64 `json:"avail"`
	Used  uint64 `json:"used"`
	// NextAvail and NextUsed count what was taken, and given back.
	NextAvail uint16 `json:"next_avail"`
	NextUsed  uint16 `json:"next_used"`
}

// Queue is the device's side of a virtqueue. It is used by one goroutine at a time.
type Queue struct {
	memory            *memory.Memory
	size              uint16
	desc, avail, used []byte
	eventIndex        bool
	indirect          bool

	nextAvail, nextUsed uint16
	// signalled is nextUsed when the driver was last interrupted, if hasSignalled.
	signalled    uint16
	hasSignalled bool

	kick      *event.Event
	interrupt func()
	fail      func(error)
	stopping  atomic.Bool
}

// newQueue looks up a queue's parts in the guest's memory.
func newQueue(m *memory.Memory, s QueueState, features uint64) (*Queue, error) {
	if s.Size == 0 || s.Size > MaxQueue || s.Size&(s.Size-1) != 0 {
		return nil, broken("a queue of %d", s.Size)
	}
	if s.Desc%16 != 0 || s.Avail%2 != 0 || s.Used%4 != 0 {
		return nil, broken("a queue at odd addresses")
	}
	q := &Queue{
		memory: m, size: s.Size, nextAvail: s.NextAvail, nextUsed: s.NextUsed,
		eventIndex: features&FeatureEventIndex != 0, indirect: features&FeatureIndirect != 0,
	}
	var errs [3]error
	n := uint64(s.Size)
	q.desc, errs[0] = m.Slice(s.Desc, n*descSize)
	q.avail, errs[1] = m.Slice(s.Avail, ringHead+n*availElem+2)
	q.used, errs[2] = m.Slice(s.Used, ringHead+n*usedElem+2)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, broken("a queue outside of memory")
	}
	return q, nil
}

// Chain is a buffer that the driver has made available: pieces of the guest's memory that
// the device reads, and others that it writes. The guest may change all of them at any
// time.
type Chain struct {
	Head     uint16
	Readable [][]byte
	Writable [][]byte
}

// Size of the queue: how many buffers there can be at one time.
func (q *Queue) Size() int { return int(q.size) }

// Pop takes the next available buffer into c, whose memory it uses again. It reports
// whether there was one. After an error, which is [ErrQueue], there won't be any more.
func (q *Queue) Pop(c *Chain) (bool, error) {
	waiting := Load16(q.avail, 2) - q.nextAvail
	if waiting == 0 {
		return false, nil
	}
	if waiting > q.size {
		return false, broken("%d buffers are available in a queue of %d", waiting, q.size)
	}
	c.Head = Load16(q.avail, ringHead+availElem*int(q.nextAvail&(q.size-1)))
	c.Readable, c.Writable = c.Readable[:0], c.Writable[:0]
	if err := q.walk(c); err != nil {
		return false, err
	}
	q.nextAvail++
	return true, nil
}

// Undo puts back the buffer that was taken last, which was not used.
func (q *Queue) Undo() { q.nextAvail-- }

// descriptor is one of the driver's, copied.
type descriptor struct {
	address     uint64
	length      uint32
	flags, next uint16
}

func readDescriptor(table []byte, i uint16) descriptor {
	b := table[int(i)*descSize : (int(i)+1)*descSize]
	return descriptor{
		address: binary.LittleEndian.Uint64(b), length: binary.LittleEndian.Uint32(b[8:]),
		flags: binary.LittleEndian.Uint16(b[12:]), next: binary.LittleEndian.Uint16(b[14:]),
	}
}

// walk follows a chain of descriptors (2.7.5). No chain is longer than the queue, neither
// one in the queue's table nor one in a table of its own.
func (q *Queue) walk(c *Chain) error {
	next := c.Head
	var total uint64
	for range q.size {
		if next >= q.size {
			return broken("descriptor %d of %d", next, q.size)
		}
		d := readDescriptor(q.desc, next)
		if d.flags&descIndirect != 0 {
			return q.walkTable(c, d, &total)
		}
		if err := q.add(c, d, &total); err != nil {
			return err
		}
		if d.flags&descNext == 0 {
			return nil
		}
		next = d.next
	}
	return broken("a chain without end")
}

// walkTable follows the chain in the table to which an indirect descriptor leads, the
// last one of its own chain (2.7.5.3).
func (q *Queue) walkTable(c *Chain, d descriptor, total *uint64) error {
	size := d.length / descSize
	if !q.indirect || d.flags&descNext != 0 || d.length%descSize != 0 || size == 0 || size > uint32(q.size) {
		return broken("an indirect table of %d bytes, or where none may be", d.length)
	}
	table, err := q.memory.Slice(d.address, uint64(d.length))
	if err != nil {
		return broken("an indirect table outside of memory")
	}
	next := uint16(0)
	for range size {
		if uint32(next) >= size {
			return broken("a chain leads out of its indirect table")
		}
		d := readDescriptor(table, next)
		if d.flags&descIndirect != 0 {
			return broken("an indirect table in another")
		}
		if err := q.add(c, d, total); err != nil {
			return err
		}
		if d.flags&descNext == 0 {
			return nil
		}
		next = d.next
	}
	return broken("a chain without end")
}

// add appends a descriptor's memory to a chain.
func (q *Queue) add(c *Chain, d descriptor, total *uint64) error {
	if *total += uint64(d.length); *total > 1<<32 {
		return broken("a chain of more than 4 GiB")
	}
	if d.length == 0 {
		return nil
	}
	b, err := q.memory.Slice(d.address, uint64(d.length))
	if err != nil {
		return broken("%d bytes at %#x are not in memory", d.length, d.address)
	}
	switch {
	case d.flags&descWrite != 0:
		c.Writable = append(c.Writable, b)
	case len(c.Writable) > 0:
		return broken("a piece to read follows one to write")
	default:
		c.Readable = append(c.Readable, b)
	}
	return nil
}

// Push gives a buffer back to the driver, with how many bytes were written to it.
func (q *Queue) Push(head uint16, written uint32) {
	b := q.used[ringHead+usedElem*int(q.nextUsed&(q.size-1)):][:usedElem]
	binary.LittleEndian.PutUint32(b, uint32(head))
	binary.LittleEndian.PutUint32(b[4:], written)
	q.nextUsed++
	Store16(q.used, 2, q.nextUsed)
}

// Signal interrupts the driver if buffers were pushed and it wants to know (2.7.7, 2.7.10).
func (q *Queue) Signal() {
	if q.wantsInterrupt() {
		q.interrupt()
	}
}

func (q *Queue) wantsInterrupt() bool {
	old, isFirst := q.signalled, !q.hasSignalled
	if !isFirst && old == q.nextUsed {
		return false
	}
	q.signalled, q.hasSignalled = q.nextUsed, true
	if !q.eventIndex {
		return Load16(q.avail, 0)&availNoInterrupt == 0
	}
	event := Load16(q.avail, ringHead+availElem*int(q.size))
	return isFirst || q.nextUsed-event-1 < q.nextUsed-old
}

// Arm asks the driver to kick when it makes more buffers available, and reports whether
// it has done so already: then no kick may come.
func (q *Queue) Arm() (available bool) {
	if q.eventIndex {
		Store16(q.used, ringHead+usedElem*int(q.size), q.nextAvail)
	} else {
		Store16(q.used, 0, 0)
	}
	return Load16(q.avail, 2) != q.nextAvail
}

// Disarm tells the driver that it need not kick. It may do so all the same.
func (q *Queue) Disarm() {
	if !q.eventIndex {
		Store16(q.used, 0, usedNoNotify)
	} // else it kicks once for each time that it is asked to
}

// Wait blocks until the driver has kicked, or the device is to stop: then it returns an
// error.
func (q *Queue) Wait() error { return q.kick.Wait() }

// Fail ends the device because of what the driver did: it needs a reset.
func (q *Queue) Fail(err error) { q.fail(err) }

// Run calls work when there may be available buffers, until the device is to stop. Work
// takes all that there are; an error of it ends the device, as Fail does.
func (q *Queue) Run(work func() error) {
	for {
		q.Disarm()
		if err := work(); err != nil {
			q.Fail(err)
			return
		}
		if q.Arm() {
			if q.stopping.Load() {
				return
			}
			continue
		}
		if q.Wait() != nil {
			return
		}
	}
}
