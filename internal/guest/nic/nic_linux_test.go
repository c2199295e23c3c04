package nic

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// inNamespace runs the rest of the test on a thread with a network namespace of
// its own, which goes with it, and returns a socket of it.
func inNamespace(t *testing.T) *conn {
	t.Helper()
	runtime.LockOSThread() // for good: the thread can't go back
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skip("needs a network namespace: ", err)
	}
	c, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	return c
}

// addDummy makes an interface that loses everything: a bridge without ports, as
// more kernels have those than have dummies.
func addDummy(t *testing.T, c *conn, name string, mac net.HardwareAddr) {
	t.Helper()
	kind := binary.NativeEndian.AppendUint16(nil, uint16(unix.SizeofRtAttr+len("bridge")))
	kind = binary.NativeEndian.AppendUint16(kind, unix.IFLA_INFO_KIND)
	kind = append(kind, "bridge"...)
	m := newMessage(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, link(0, 0, 0)).
		add(unix.IFLA_IFNAME, []byte(name)).add(unix.IFLA_ADDRESS, mac).add(unix.IFLA_LINKINFO, kind)
	err := c.do(m)
	if errors.Is(err, unix.EOPNOTSUPP) {
		t.Skip("needs the kernel's bridges")
	}
	if err != nil {
		t.Fatal(err)
	}
}

func boxConfig() Config {
	return Config{
		Name: protocol.NetworkInterface, MAC: protocol.GuestMAC, MTU: protocol.NetworkMTU,
		Address4:  netip.PrefixFrom(protocol.GuestAddr4, 24),
		Address6:  netip.PrefixFrom(protocol.GuestAddr6, 64),
		Gateway4:  protocol.GatewayAddr4,
		Gateway6:  protocol.GatewayAddr6,
		Neighbors: []netip.Addr{protocol.GatewayAddr4, protocol.GatewayAddr6}, NeighborMAC: protocol.GatewayMAC,
	}
}

// read returns a file of the test's thread, which has other networks than its
// process.
func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func addresses(t *testing.T) (texts []string) {
	t.Helper()
	nic, err := net.InterfaceByName(protocol.NetworkInterface)
	if err != nil {
		t.Fatal(err)
	}
	if nic.MTU != protocol.NetworkMTU || nic.Flags&net.FlagUp == 0 {
		t.Errorf("the interface is %+v", nic)
	}
	all, err := nic.Addrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if !strings.HasPrefix(a.String(), "fe80:") {
			texts = append(texts, a.String())
		}
	}
	return texts
}

func TestConfigure(t *testing.T) {
	c := inNamespace(t)
	addDummy(t, c, "another", protocol.GatewayMAC)
	addDummy(t, c, "some1", protocol.GuestMAC)
	if err := Configure(boxConfig()); err != nil {
		t.Fatal(err)
	}
	if got, want := addresses(t), []string{"192.168.127.2/24", "fd62:6f78:6c69:7465::2/64"}; !slices.Equal(got, want) {
		t.Errorf("addresses %q, want %q", got, want)
	}
	if routes := read(t, "/proc/thread-self/net/route"); !strings.Contains(routes, "eth0\t00000000\t017FA8C0\t0003") {
		t.Errorf("no default route in\n%s", routes)
	}
	zeros := strings.Repeat("0", 32)
	if routes := read(t, "/proc/thread-self/net/ipv6_route"); !strings.Contains(routes, zeros+" 00 "+zeros+" 00 fd626f786c6974650000000000000001 ") {
		t.Errorf("no default route for IPv6 in\n%s", routes)
	}
	if known := read(t, "/proc/thread-self/net/arp"); !strings.Contains(known, protocol.GatewayMAC.String()) {
		t.Errorf("the gateway is not known:\n%s", known)
	}
	permanent := regexp.MustCompile("fd626f786c6974650000000000000002 [0-9a-f]+ 40 00 82 ") // and not tentative
	if addrs := read(t, "/proc/thread-self/net/if_inet6"); !permanent.MatchString(addrs) {
		t.Errorf("no address is permanent:\n%s", addrs)
	}
	for name, want := range map[string]string{
		"ipv6/conf/eth0/accept_ra": "0", "ipv6/conf/eth0/disable_ipv6": "0", "ipv4/tcp_rmem": "4096\t1048576\t6291456",
	} {
		if got := read(t, "/proc/sys/net/"+name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestWithoutIPv6(t *testing.T) {
	c := inNamespace(t)
	addDummy(t, c, "eth0", protocol.GuestMAC)
	config := boxConfig()
	config.Address6, config.Gateway6 = netip.Prefix{}, netip.Addr{}
	if err := Configure(config); err != nil {
		t.Fatal(err)
	}
	if got, want := addresses(t), []string{"192.168.127.2/24"}; !slices.Equal(got, want) {
		t.Errorf("addresses %q, want %q", got, want)
	}
	if addrs := read(t, "/proc/thread-self/net/if_inet6"); strings.Contains(addrs, "eth0") {
		t.Errorf("there is IPv6:\n%s", addrs)
	}
}

func TestOneInterfaceIsNeeded(t *testing.T) {
	c := inNamespace(t)
	wanted := func(text string) {
		t.Helper()
		err := Configure(boxConfig())
		if err == nil || !strings.Contains(err.Error(), text) || !errors.Is(err, protocol.KindNetwork) {
			t.Errorf("%v, want an error with %q", err, text)
		}
	}
	wanted("there is none with the hardware address " + protocol.GuestMAC.String())
	addDummy(t, c, "some1", protocol.GatewayMAC)
	wanted("there is none with the hardware address " + protocol.GuestMAC.String())
	addDummy(t, c, "some2", protocol.GuestMAC)
	addDummy(t, c, "some3", protocol.GuestMAC)
	wanted("there are several: some2 and some3")
}

func TestKernelsRefusal(t *testing.T) {
	c := inNamespace(t)
	if err := c.do(raise(4711)); !errors.Is(err, unix.ENODEV) {
		t.Errorf("to raise what is not there: %v", err)
	}
	if err := c.do(addDefaultRoute(1, protocol.GatewayAddr4)); err == nil {
		t.Error("a route by an unreachable gateway was made")
	}
}

func TestAnswer(t *testing.T) {
	whole := newMessage(unix.NLMSG_ERROR, 0, []byte{0, 0, 0, 0}).bytes(7)
	for n := range whole {
		if done, err := answer(whole[:n], 7); done {
			t.Errorf("%d bytes are an answer: %v", n, err)
		}
	}
	if done, err := answer(whole, 7); !done || err != nil {
		t.Errorf("the answer is %v, %v", done, err)
	}
	if done, _ := answer(whole, 8); done {
		t.Error("an answer to another request is taken")
	}
}
