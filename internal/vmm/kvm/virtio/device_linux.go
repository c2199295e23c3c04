package virtio

// Features that queues and transport have (6). Devices offer their own besides.
const (
	FeatureIndirect   uint64 = 1 << 28 // VIRTIO_F_INDIRECT_DESC
	FeatureEventIndex uint64 = 1 << 29 // VIRTIO_F_EVENT_IDX
	FeatureVersion1   uint64 = 1 << 32 // VIRTIO_F_VERSION_1
	FeatureAccess     uint64 = 1 << 33 // VIRTIO_F_ACCESS_PLATFORM: not offered

	transportFeatures = FeatureIndirect | FeatureEventIndex | FeatureVersion1
)

// Numbers of devices (5).
const (
	IDNetwork = 1
	IDBlock   = 2
	IDConsole = 3
	IDRandom  = 4
	IDBalloon = 5
	IDSocket  = 19
)

// Device is what stands behind a [Transport]. The transport calls its methods one at a
// time.
type Device interface {
	// ID is what kind of device it is.
	ID() uint32
	// Features are those that it offers, beside those of queues.
	Features() uint64
	// QueueSizes are how large each of its queues may be, powers of two up to MaxQueue.
	QueueSizes() []uint16
	// ReadConfig fills p with what its configuration has at an offset; what is beyond
	// its end is zero.
	ReadConfig(offset uint32, p []byte)
	// WriteConfig is what the driver writes there.
	WriteConfig(offset uint32, p []byte)
	// Start begins to work, with the features that the driver has chosen and its queues;
	// one that the driver did not set up is nil. Buffers may be available already. It
	// returns soon; what it fails with ends the device until its driver resets it.
	Start(features uint64, queues []*Queue) error
	// Stop ends what Start began. Waiting for the queues fails from before it is called.
	// When it returns, the device does not touch queues or guest memory any more. The
	// next Start, with the same queues, goes on where it was.
	Stop()
	// Reset forgets all that a driver has made of the device. It is stopped then.
	Reset()
	// Save returns what is to be known of it beside its queues to go on elsewhere, while
	// it is stopped; and Restore takes that. A device that has nothing returns nil.
	Save() ([]byte, error)
	Restore(state []byte) error
}

// Config copies from a device's configuration, as ReadConfig is to do it.
func Config(config []byte, offset uint32, p []byte) {
	clear(p)
	if uint64(offset) < uint64(len(config)) {
		copy(p, config[offset:])
	}
}
