package vsock

import (
	"encoding/json"
	"fmt"
)

// savedState is what Save returns, as JSON. Connections of the host can't go with it; the
// guest is told that they have ended.
type savedState struct {
	CID uint64 `json:"cid"`
	// Streams are those that the guest may know.
	Streams []savedStream `json:"streams,omitempty"`
	// Resets are packets that were not sent yet.
	Resets []savedReset `json:"resets,omitempty"`
	// NextPort is where ports of the host's ends go on.
	NextPort uint32 `json:"next_port"`
	// Event is that the guest is yet to be told of the end of earlier streams.
	Event bool `json:"event,omitempty"`
}

type savedStream struct {
	HostPort  uint32 `json:"host_port"`
	GuestPort uint32 `json:"guest_port"`
	// State is the number of the state.
	State int `json:"state"`
	// The guest's credit, and ours.
	BufAlloc  uint32 `json:"buf_alloc"`
	Received  uint32 `json:"received"`
	Taken     uint32 `json:"taken"`
	PeerAlloc uint32 `json:"peer_alloc"`
	PeerTaken uint32 `json:"peer_taken"`
	Sent      uint32 `json:"sent"`
}

type savedReset struct {
	CID       uint64 `json:"cid"`
	HostPort  uint32 `json:"host_port"`
	GuestPort uint32 `json:"guest_port"`
	Kind      uint16 `json:"kind"`
}

// Save returns what is to be known of the device to go on in another process.
func (d *Device) Save() ([]byte, error) {
	d.rx.mu.Lock()
	defer d.rx.mu.Unlock()
	state := savedState{CID: d.config.CID, Event: d.events.isOpen()}
	d.mu.Lock()
	defer d.mu.Unlock()
	state.NextPort = d.nextPort
	for k, s := range d.streams {
		if s.state != stateWaiting {
			state.Streams = append(state.Streams, savedStream{
				HostPort: k.host, GuestPort: k.guest, State: s.state, BufAlloc: s.bufAlloc, Received: s.received,
				Taken: s.taken, PeerAlloc: s.peerAlloc, PeerTaken: s.peerTaken, Sent: s.sent,
			})
		}
	}
	for _, r := range d.resets.all() {
		state.Resets = append(state.Resets, savedReset{CID: r.cid, HostPort: r.key.host, GuestPort: r.key.guest, Kind: r.kind})
	}
	return json.Marshal(state)
}

// Restore makes a new device go on where another was. When it starts, it tells the guest
// that all streams have ended, if there were any.
func (d *Device) Restore(saved []byte) error {
	if len(saved) == 0 {
		return nil
	}
	var state savedState
	if err := json.Unmarshal(saved, &state); err != nil {
		return fmt.Errorf("the state of a socket device: %w", err)
	}
	d.rx.mu.Lock()
	defer d.rx.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if state.NextPort >= firstPort && state.NextPort < ^uint32(0) {
		d.nextPort = state.NextPort
	}
	for _, r := range state.Resets {
		d.sendReset(reset{cid: r.CID, key: key{host: r.HostPort, guest: r.GuestPort}, kind: r.Kind})
	}
	for _, s := range state.Streams {
		// The event ends streams, but not what the guest has yet to get an answer to.
		if s.State == stateDialling {
			d.sendReset(reset{cid: hostCID, key: key{host: s.HostPort, guest: s.GuestPort}, kind: typeStream})
		}
	}
	isOpen := state.Event || len(state.Streams) > 0 || state.CID != d.config.CID
	d.events.mu.Lock()
	d.events.isPending, d.events.isSent = isOpen, false
	d.events.mu.Unlock()
	d.rx.isHeld = isOpen
	return nil
}
