package guest

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/guest/vsock"
	"github.com/boxlite-go/boxlite/internal/portal"
	"github.com/boxlite-go/boxlite/internal/protocol"
)

// classPorts has a folder for each virtio-serial port.
const classPorts = "/sys/class/virtio-ports"

// meetHost greets the host by what the machine has for that: a virtio-serial port, or
// else a socket device. The listener takes the host's connections to the agent; it is
// closed when the host does not want the machine any more.
func meetHost(ctx context.Context) (net.Listener, error) {
	name := findPort(classPorts)
	if name == "" {
		return meetBySocket(ctx)
	}
	port, err := openPort(filepath.Join("/dev", name))
	if err != nil {
		return nil, err
	}
	session, err := portal.Server(ctx, port, protocol.PortAgent)
	if err != nil {
		return nil, err
	}
	return session.Listener(protocol.PortAgent), nil
}

// findPort returns the device of the virtio-serial port that carries the portal; "" if
// there is none.
func findPort(class string) string {
	ports, _ := os.ReadDir(class) // not there without such a device
	for _, port := range ports {
		name, err := os.ReadFile(filepath.Join(class, port.Name(), "name"))
		if err == nil && strings.TrimSpace(string(name)) == protocol.PortName {
			return port.Name()
		}
	}
	return ""
}

func openPort(path string) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), protocol.PortName), nil
}

// meetBySocket listens, and then greets the host: it may connect as soon as it is
// greeted. Processes of this machine, which could try to connect too, are refused.
func meetBySocket(ctx context.Context) (net.Listener, error) {
	agent, err := vsock.Listen(vsock.Addr{CID: vsock.Any, Port: protocol.PortAgent}, protocol.CIDHost)
	if err != nil {
		return nil, noWay(err)
	}
	host, err := vsock.Dial(vsock.Addr{CID: protocol.CIDHost, Port: protocol.PortGreeting})
	if err != nil {
		return nil, noWay(err)
	}
	if err := portal.Greet(ctx, host); err != nil {
		return nil, err
	}
	go closeWith(agent, host)
	return agent, nil
}

func noWay(err error) error {
	return fmt.Errorf("no virtio-serial port is named %q, and the host has no socket: %w", protocol.PortName, err)
}

// closeWith closes l when nothing more can be read from conn.
func closeWith(l io.Closer, conn io.ReadCloser) {
	_, _ = io.Copy(io.Discard, conn)
	_ = conn.Close()
	_ = l.Close()
}
