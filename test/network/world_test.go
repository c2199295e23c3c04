//go:build linux

package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Addresses in the Internet of the tests, and on the host's side of the cable.
const (
	allowedIP   = "93.184.216.34" // of allowed.example, and of a CDN for evil.example
	allowedIP6  = "2606:2800::34"
	evilIP      = "93.184.216.80" // of other.example alone
	evilIP6     = "2606:2800::80"
	dnsIP       = "93.184.216.53" // the host's name server
	publicDNS   = "8.8.8.8"
	metadataIP  = "169.254.169.254"
	metadataIP6 = "fd00:ec2::254"
	privateIP   = "10.9.0.9"
	cgnatIP     = "100.64.0.9"
	hostIP      = "192.0.2.1"  // the host's, on the cable
	hostPublic  = "45.33.32.1" // the host's, too
	clientIP    = "93.184.216.200"
	worldIP     = "192.0.2.2"
)

// internet is the second network, with what is served there.
type internet struct {
	ns  *os.File
	tap *tap
	log *requestLog
	ca  *authority
	dns *nameServer
	// public is a name server that nobody told the box of.
	public *nameServer
	// host has what reached the servers of the host itself.
	host *requestLog
	// files are what all web servers have, by their path.
	files sync.Map
}

// newInternet makes it, and makes its name server the host's.
func newInternet(dir string) (*internet, error) {
	w := &internet{log: &requestLog{}, host: &requestLog{}}
	if err := w.makeNamespace(); err != nil {
		return nil, err
	}
	if err := w.connect(); err != nil {
		return nil, err
	}
	conf := filepath.Join(dir, "resolv.conf")
	if err := os.WriteFile(conf, []byte("nameserver "+dnsIP+"\nsearch corp.example\n"), 0o644); err != nil {
		return nil, err
	}
	if err := unix.Mount(conf, "/etc/resolv.conf", "", unix.MS_BIND, ""); err != nil {
		return nil, fmt.Errorf("resolv.conf: %w", err)
	}
	var err error
	if w.ca, err = newAuthority("World Test CA"); err != nil {
		return nil, err
	}
	if err := w.do(func() (err error) {
		w.tap, err = newTap("world1")
		return err
	}); err != nil {
		return nil, fmt.Errorf("tap: %w", err)
	}
	return w, w.serve()
}

func (w *internet) makeNamespace() error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with this function
		result <- func() (err error) {
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return err
			}
			w.ns, err = os.Open("/proc/thread-self/ns/net")
			return err
		}()
	}()
	return <-result
}

// do runs f in the second network. Sockets that it makes stay there.
func (w *internet) do(f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread()
		if err := unix.Setns(int(w.ns.Fd()), unix.CLONE_NEWNET); err != nil {
			result <- err
			return
		}
		result <- f()
	}()
	return <-result
}

// connect lays the cable. Whole networks are local to the other side, so that servers
// can have any address in them.
func (w *internet) connect() error {
	path := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), w.ns.Fd())
	if err := ip(
		"link set lo up",
		"link add world0 type veth peer name world1 netns "+path,
		"addr add "+hostIP+"/30 dev world0", "addr add "+hostPublic+"/32 dev lo",
		"-6 addr add 2606:2800:1::1/64 dev world0 nodad",
		"link set world0 up",
		"route add default via "+worldIP, "-6 route add default via 2606:2800:1::2",
	); err != nil {
		return err
	}
	// As on most hosts of developers: anybody may ping.
	if err := os.WriteFile("/proc/sys/net/ipv4/ping_group_range", []byte("0 2147483647"), 0); err != nil {
		return err
	}
	return w.do(func() error {
		// Networks that are local make addresses so for IPv4 alone.
		if err := os.WriteFile("/proc/sys/net/ipv6/ip_nonlocal_bind", []byte("1"), 0); err != nil {
			return err
		}
		commands := []string{
			"link set lo up", "addr add " + worldIP + "/30 dev world1",
			"-6 addr add 2606:2800:1::2/64 dev world1 nodad", "link set world1 up",
			"route add default via " + hostIP, "-6 route add default via 2606:2800:1::1",
		}
		for _, prefix := range []string{"93.184.216.0/24", "8.8.8.0/24", "10.9.0.0/16", "169.254.0.0/16", "100.64.0.0/10"} {
			commands = append(commands, "route add local "+prefix+" dev lo")
		}
		for _, prefix := range []string{"2606:2800::/64", "64:ff9b::/96", "2002::/16", "fd00:ec2::/64"} {
			commands = append(commands, "-6 route add local "+prefix+" dev lo")
		}
		return ip(commands...)
	})
}

// ip runs commands of iproute2 in the network of the calling thread.
func ip(commands ...string) error {
	for _, c := range commands {
		if out, err := exec.Command("ip", strings.Fields(c)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", c, err, out)
		}
	}
	return nil
}

// listen listens in the second network.
func (w *internet) listen(addr string) (l net.Listener, err error) {
	err = w.do(func() error {
		l, err = net.Listen("tcp", addr)
		return err
	})
	return l, err
}

func (w *internet) listenPacket(addr string) (c net.PacketConn, err error) {
	err = w.do(func() error {
		c, err = net.ListenPacket("udp", addr)
		return err
	})
	return c, err
}

// dial connects from an address of the second network.
func (w *internet) dial(network, from, to string) (conn net.Conn, err error) {
	err = w.do(func() error {
		var local net.Addr
		addr := net.IP(netip.MustParseAddr(from).AsSlice())
		if network == "udp" {
			local = &net.UDPAddr{IP: addr}
		} else {
			local = &net.TCPAddr{IP: addr}
		}
		// A dialer would connect on threads of its own if it raced addresses; to one
		// address it does not.
		conn, err = (&net.Dialer{LocalAddr: local, Timeout: patience}).Dial(network, to)
		return err
	})
	return conn, err
}

// publish gives all web servers a file.
func (w *internet) publish(path string, content []byte) { w.files.Store(path, content) }

// serve starts all servers.
func (w *internet) serve() error {
	for _, addr := range []string{allowedIP, allowedIP6, evilIP, evilIP6} {
		if err := errors.Join(w.serveWeb(addr, 80, 8080), w.serveTLS(addr, 443, 8443), w.serveEcho(addr, 7)); err != nil {
			return err
		}
	}
	for _, addr := range []string{
		metadataIP, metadataIP6, privateIP, cgnatIP, "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1",
	} {
		if err := w.serveWeb(addr, 80); err != nil {
			return err
		}
	}
	if err := w.serveTLS(publicDNS, 443, 853); err != nil {
		return err
	}
	var err error
	if w.dns, err = w.serveNames(dnsIP); err != nil {
		return err
	}
	if w.public, err = w.serveNames(publicDNS); err != nil {
		return err
	}
	w.public.zone = func(q question, _ int) []string { return []string{"A " + evilIP} }
	return w.serveHost()
}
