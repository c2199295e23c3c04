package virtio_test

import (
	"sync"
	"testing"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio/virtiotest"
)

// pairs is a device that gives buffers back in pairs.
type pairs struct {
	echo
	wg sync.WaitGroup
}

func (p *pairs) Stop() { p.wg.Wait() }

func (p *pairs) Start(_ uint64, queues []*virtio.Queue) error {
	q := queues[0]
	p.wg.Go(func() {
		q.Run(func() error {
			var all []virtio.Used
			var c virtio.Chain
			for {
				ok, err := q.Pop(&c)
				if err != nil {
					return err
				}
				if !ok {
					break
				}
				all = append(all, virtio.Used{Head: c.Head, Written: uint32(len(all))})
			}
			if len(all)%2 != 0 {
				q.Undo()
				all = all[:len(all)-1]
			}
			q.PushAll(all)
			q.Signal()
			return nil
		})
	})
	return nil
}

func TestBuffersComeBackTogether(t *testing.T) {
	p := new(pairs)
	x := virtiotest.Start(t, p, 8, 0)
	for range 10_000 { // the indices wrap around
		x.Transport.Pause()
		one, _ := x.Add(0, virtiotest.Piece{Space: 1})
		two, _ := x.Add(0, virtiotest.Piece{Space: 1})
		x.Transport.Resume()
		first := x.Next(0)
		second, ok := x.Poll(0)
		if !ok || first.Head != one || first.Written != 0 || second.Head != two || second.Written != 1 {
			t.Fatalf("%+v, %+v", first, second)
		}
	}
}
