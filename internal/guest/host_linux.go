package guest

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/guest/vsock"
	"github.com/boxlite-go/boxlite/internal/portal"
	"github.com/boxlite-go/boxlite/internal/protocol"
)

// greetingTimeout is how long a host that was greeted before may take to answer.
const greetingTimeout = time.Minute

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
	go closeWithHost(agent, host, func() (io.ReadCloser, error) { return greetAgain(ctx) })
	return agent, nil
}

// greetAgain greets the host once more. It fails at once if the host does not want that,
// and soon if nobody answers.
func greetAgain(ctx context.Context) (io.ReadCloser, error) {
	host, err := vsock.Dial(vsock.Addr{CID: protocol.CIDHost, Port: protocol.PortGreeting})
	if err != nil {
		return nil, err
	}
	// Nothing is asked of a machine whose secrets another one could guess.
	if err := renewEntropy(); err != nil {
		_ = host.Close()
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, greetingTimeout)
	defer cancel()
	if err := portal.Greet(ctx, host); err != nil {
		_ = host.Close()
		return nil, err
	}
	return host, nil
}

func noWay(err error) error {
	return fmt.Errorf("no virtio-serial port is named %q, and the host has no socket: %w", protocol.PortName, err)
}

// closeWithHost closes l when nothing more can be read from conn, unless there is another
// one then. So it is when this machine has been saved and goes on somewhere else: all
// connections have ended, and the host waits to be greeted. A host that has ended the
// connection for good refuses that.
func closeWithHost(l io.Closer, conn io.ReadCloser, again func() (io.ReadCloser, error)) {
	defer l.Close()
	for {
		_, _ = io.Copy(io.Discard, conn)
		_ = conn.Close()
		var err error
		if conn, err = again(); err != nil {
			return
		}
	}
}
