package virtio_test

import (
	"testing"

	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio"
	"github.com/boxlite-go/boxlite/internal/vmm/kvm/virtio/virtiotest"
)

// TestStatesThatThereCantBe are those of a file that was damaged, or of another device.
func TestStatesThatThereCantBe(t *testing.T) {
	x := virtiotest.Start(t, &echo{}, 8, 0)
	x.Transport.Pause()
	good, err := x.Transport.Save()
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*virtio.TransportState){
		"nothing":          func(*virtio.TransportState) {},
		"another device":   func(s *virtio.TransportState) { s.DeviceID++ },
		"fewer queues":     func(s *virtio.TransportState) { s.Queues = s.Queues[:1] },
		"no queues":        func(s *virtio.TransportState) { s.Queues = nil },
		"a large queue":    func(s *virtio.TransportState) { s.Queues[1].Size = 16 },
		"a queue of three": func(s *virtio.TransportState) { s.Queues[0].Size = 3 },
		"a queue nowhere":  func(s *virtio.TransportState) { s.Queues[0].Used = 1 << 60 },
		"other features":   func(s *virtio.TransportState) { s.Features |= 1 << 60 },
	} {
		t.Run(name, func(t *testing.T) {
			s := good
			s.Queues = append([]virtio.QueueState(nil), good.Queues...)
			change(&s)
			raised := false
			other, err := virtio.New(&echo{}, x.Memory, func() { raised = true }, discard)
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			if err := other.Restore(s); (err == nil) != (name == "nothing") {
				t.Errorf("error %v", err)
			}
			if raised && name == "nothing" {
				t.Error("it was interrupted for nothing")
			}
		})
	}
}

// TestPendingInterruptIsRaisedAgain: it may have been on its way when the guest was saved.
func TestPendingInterruptIsRaisedAgain(t *testing.T) {
	x := virtiotest.Start(t, &echo{}, 8, 0)
	x.Transport.ConfigChanged()
	x.Transport.Pause()
	s, err := x.Transport.Save()
	if err != nil {
		t.Fatal(err)
	}
	raised := 0
	other, err := virtio.New(&echo{}, x.Memory, func() { raised++ }, discard)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := other.Restore(s); err != nil || raised != 1 {
		t.Errorf("%v, interrupted %d times", err, raised)
	}
}
