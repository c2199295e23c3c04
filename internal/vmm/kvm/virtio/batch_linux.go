package virtio

import "encoding/binary"

// Used is a buffer that goes back to the driver, with how many bytes were written to it.
type Used struct {
	Head    uint16
	Written uint32
}

// PushAll gives buffers back that belong together: the driver sees all of them or none,
// at whatever time it looks. There are no more of them than the queue's size.
func (q *Queue) PushAll(all []Used) {
	if len(all) == 0 {
		return
	}
	for _, u := range all {
		b := q.used[ringHead+usedElem*int(q.nextUsed&(q.size-1)):][:usedElem]
		binary.LittleEndian.PutUint32(b, uint32(u.Head))
		binary.LittleEndian.PutUint32(b[4:], u.Written)
		q.nextUsed++
	}
	Store16(q.used, 2, q.nextUsed)
}
