package virtio

import (
	"errors"
	"fmt"
)

// TransportState is what is to be known of a transport, and its device, to go on with
// them, in this process or another.
type TransportState struct {
	DeviceID         uint32       `json:"device_id"`
	Features         uint64       `json:"features"`
	DeviceFeatureSel uint32       `json:"device_feature_sel"`
	DriverFeatureSel uint32       `json:"driver_feature_sel"`
	QueueSel         uint32       `json:"queue_sel"`
	Status           uint32       `json:"status"`
	InterruptStatus  uint32       `json:"interrupt_status"`
	Generation       uint32       `json:"generation"`
	Queues           []QueueState `json:"queues"`
	Device           []byte       `json:"device,omitempty"`
}

// Pause stops the device until Resume. Nothing is lost.
func (t *Transport) Pause() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.isPaused = true
	t.stop()
}

// Resume lets a paused device go on.
func (t *Transport) Resume() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.isPaused = false
	t.run()
}

// Save returns the state of a transport that is paused.
func (t *Transport) Save() (TransportState, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.isPaused {
		return TransportState{}, errors.New("it is not paused")
	}
	s := t.state
	s.Queues = append([]QueueState(nil), s.Queues...)
	s.InterruptStatus = t.interrupts.Load()
	if t.isBroken.Load() {
		s.Status |= statusNeedsReset
	}
	var err error
	s.Device, err = t.device.Save()
	return s, err
}

// Restore makes a new transport what another was. It is paused then.
func (t *Transport) Restore(s TransportState) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.check(s); err != nil {
		return err
	}
	if err := t.device.Restore(s.Device); err != nil {
		return err
	}
	t.isPaused = true
	t.state = s
	t.state.Queues = append([]QueueState(nil), s.Queues...)
	t.interrupts.Store(s.InterruptStatus)
	t.isBroken.Store(s.Status&statusNeedsReset != 0)
	t.state.Status &^= statusNeedsReset
	if s.Status&statusDriverOK != 0 && !t.isBroken.Load() {
		t.start()
		if t.isBroken.Load() {
			return errors.New("the state is of queues that there can't be")
		}
		for _, q := range t.queues {
			if q != nil {
				q.hasSignalled = false // the driver may wait for one that was not raised
			}
		}
	}
	if s.InterruptStatus != 0 {
		t.raise() // it may have been on its way; one too many does no harm
	}
	return nil
}

// check finds out whether this transport can have been in a state. What a driver has set
// up wrongly can be part of it.
func (t *Transport) check(s TransportState) error {
	if s.DeviceID != t.device.ID() || len(s.Queues) != len(t.kicks) {
		return fmt.Errorf("the state is of a device %d with %d queues, not of a device %d with %d",
			s.DeviceID, len(s.Queues), t.device.ID(), len(t.kicks))
	}
	if s.Status&statusFeaturesOK != 0 && s.Features&^t.offered() != 0 {
		return fmt.Errorf("the state is of a device that offers other features: %#x are not of %#x", s.Features, t.offered())
	}
	for i, most := range t.device.QueueSizes() {
		if s.Queues[i].Size > most {
			return fmt.Errorf("the state is of a device with a queue of %d, more than %d", s.Queues[i].Size, most)
		}
	}
	return nil
}
