package boxlite

import (
	"context"

	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

// NetworkMetrics is what has passed the box's network, as the host has counted: a
// guest can't lie about it. Sent is what the guest has sent.
type NetworkMetrics struct {
	SentBytes      uint64 `json:"sentBytes"`
	SentFrames     uint64 `json:"sentFrames"`
	ReceivedBytes  uint64 `json:"receivedBytes"`
	ReceivedFrames uint64 `json:"receivedFrames"`
	// DroppedFrames were malformed, or did not come from the guest's own address.
	DroppedFrames uint64 `json:"droppedFrames"`
	// OpenConnections are TCP connections and UDP flows that there are now,
	// Connections all that were allowed, FailedConnections those of them that could
	// not be made.
	OpenConnections   uint64 `json:"openConnections"`
	Connections       uint64 `json:"connections"`
	FailedConnections uint64 `json:"failedConnections"`
	// Denied is how often the rules have refused something, DNSQueries how many names
	// were asked for.
	Denied     uint64 `json:"denied"`
	DNSQueries uint64 `json:"dnsQueries"`
	// Destinations are what the box has connected to, most bytes first; up to a
	// thousand.
	Destinations []DestinationMetrics `json:"destinations"`
}

// DestinationMetrics is what has passed between a box and one destination.
type DestinationMetrics struct {
	// Name is the name that the guest asked for, or an address; "guest" for what came
	// in by a published port; "others", without a port, for all those beyond the first
	// thousand.
	Name     string `json:"name"`
	Port     int    `json:"port"`
	Protocol string `json:"protocol"`

	SentBytes     uint64 `json:"sentBytes"`
	ReceivedBytes uint64 `json:"receivedBytes"`
	Connections   uint64 `json:"connections"`
}

// networkMetrics asks the shim; nil if the box has no network.
func (r *run) networkMetrics(ctx context.Context) (*NetworkMetrics, error) {
	n, err := r.client.Network(ctx)
	if err != nil || !n.GetEnabled() {
		return nil, err
	}
	m := &NetworkMetrics{
		SentBytes: n.GetSentBytes(), SentFrames: n.GetSentFrames(),
		ReceivedBytes: n.GetReceivedBytes(), ReceivedFrames: n.GetReceivedFrames(), DroppedFrames: n.GetDroppedFrames(),
		OpenConnections: n.GetOpenConnections(), Connections: n.GetConnections(), FailedConnections: n.GetFailedConnections(),
		Denied: n.GetDenied(), DNSQueries: n.GetDnsQueries(), Destinations: []DestinationMetrics{},
	}
	for _, d := range n.GetDestinations() {
		m.Destinations = append(m.Destinations, destinationMetrics(d))
	}
	return m, nil
}

func destinationMetrics(d *boxlitev1.Destination) DestinationMetrics {
	return DestinationMetrics{
		Name: d.GetName(), Port: int(d.GetPort()), Protocol: d.GetProtocol(),
		SentBytes: d.GetSentBytes(), ReceivedBytes: d.GetReceivedBytes(),
		Connections: d.GetConnections(),
	}
}
