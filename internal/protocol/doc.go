// Package protocol holds what the library, the shim and the guest agent share:
// the gRPC services of boxlite.v1, the kinds of errors and how they cross a
// process border, and the constants that both ends must agree on.
//
// The services are described in boxlite/v1/*.proto; `go generate` makes their
// Go code anew (it needs protoc; the result is committed).
package protocol

//go:generate sh -c "protoc -I . --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative boxlite/v1/*.proto"

// Version is the version of the protocol between library, shim and agent. The
// portal's greeting carries it; the two ends must have the same.
const Version = 1

// PortAgent is the portal's port on which the agent serves gRPC.
const PortAgent = 1

// Where host and guest meet if there is a socket device (AF_VSOCK) between them instead
// of a port with a portal: the guest listens on the portal's ports, and first connects to
// PortGreeting of the host. That connection lives as long as the host wants the machine.
const (
	// CIDHost and CIDGuest are the two addresses.
	CIDHost  = 2
	CIDGuest = 3
	// PortGreeting is the host's port.
	PortGreeting = 1
)

// Serial numbers by which the agent finds its disks.
const (
	SerialImage = "boxlite-image"
	SerialBox   = "boxlite-disk"
)

// PortName is the name of the virtio-serial port that carries the portal.
const PortName = "boxlite.portal"

// MainExecution is the ID of the container's main process.
const MainExecution = "main"
