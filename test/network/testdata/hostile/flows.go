package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// errSilent: it was connected, and nothing came.
var errNothing = errors.New("nothing came")

// ask connects, sends, and returns what comes. It fails unless a server of the tests
// has answered.
func ask(ctx context.Context, network, addr, send string) (string, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return talk(ctx, conn, send)
}

func talk(ctx context.Context, conn net.Conn, send string) (string, error) {
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	if _, err := io.WriteString(conn, send); err != nil {
		return "", err
	}
	// Servers keep connections open: what comes is read until it pauses.
	var got []byte
	buf := make([]byte, 64<<10)
	for {
		n, err := conn.Read(buf)
		got = append(got, buf[:n]...)
		if err != nil {
			break
		}
		_ = conn.SetReadDeadline(time.Now().Add(700 * time.Millisecond))
	}
	return judge(string(got))
}

// judge fails unless the text is of a server that must not be reached.
func judge(text string) (string, error) {
	if strings.Contains(text, "hello from") {
		return text, nil
	}
	if text == "" {
		return "", errNothing
	}
	return text, errors.New("refused")
}

func getFor(host string) string {
	return "GET / HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n"
}

// flows go to addresses that no rule allows.
func flows() []attempt {
	var list []attempt
	tcp := func(addr, send string) {
		list = append(list, attempt{"tcp " + addr, func(ctx context.Context) (string, error) { return ask(ctx, "tcp", addr, send) }})
	}
	udp := func(addr, send string) {
		list = append(list, attempt{"udp " + addr, func(ctx context.Context) (string, error) { return ask(ctx, "udp", addr, send) }})
	}
	for _, ip := range []string{evilIP, evil6, publicDNS, "93.184.216.35", "10.9.0.9", "100.64.0.9"} {
		for _, port := range []string{"7", "22", "53", "80", "443", "853", "8080"} {
			tcp(net.JoinHostPort(ip, port), getFor("allowed.example"))
		}
	}
	// The allowed server's other ports, and protocols.
	for _, port := range []string{"7", "53", "8081"} {
		tcp(net.JoinHostPort(allowedIP, port), getFor("allowed.example"))
	}
	for _, ip := range []string{allowedIP, allowed6, evilIP, evil6} {
		udp(net.JoinHostPort(ip, "7"), "data")
		udp(net.JoinHostPort(ip, "443"), quicInitial())
		udp(net.JoinHostPort(ip, "53"), "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04evil\x07example\x00\x00\x01\x00\x01")
		udp(net.JoinHostPort(ip, "123"), strings.Repeat("n", 48))
		list = append(list, attempt{"ping " + ip, func(ctx context.Context) (string, error) { return ping(ctx, ip, "data in the payload") }})
	}
	for _, ip := range []string{"255.255.255.255", "192.168.127.255", "224.0.0.251", "ff02::fb%eth0"} {
		udp(net.JoinHostPort(ip, "5353"), "data")
	}
	tlsTo := func(addr, name string) {
		list = append(list, attempt{fmt.Sprintf("tls %s as %s", addr, name), func(ctx context.Context) (string, error) {
			return askTLS(ctx, addr, name, getFor(name))
		}})
	}
	tlsTo(evilIP+":443", "allowed.example") // its name, at another's address
	tlsTo(evilIP+":8443", "allowed.example")
	tlsTo("["+evil6+"]:443", "allowed.example")
	tlsTo(publicDNS+":853", "allowed.example")
	list = append(list, attempt{"dns over https", func(ctx context.Context) (string, error) {
		return askTLS(ctx, publicDNS+":443", "dns.google", "GET /dns-query?dns=AAABAAABAAAAAAAAB2V4YW1wbGUDY29tAAABAAE HTTP/1.1\r\nHost: dns.google\r\nConnection: close\r\n\r\n")
	}})
	return list
}

// quicInitial is what begins a QUIC connection, as far as anybody can tell who has no
// keys: a long header of type Initial, version 1, in 1200 bytes.
func quicInitial() string {
	return "\xc3\x00\x00\x00\x01\x08\x01\x02\x03\x04\x05\x06\x07\x08\x00\x00\x44\x96" + strings.Repeat("q", 1182)
}

// special are addresses of special networks, in all the ways to write them, and names
// that lead there.
func special() []attempt {
	var list []attempt
	for _, ip := range []string{
		"169.254.169.254", "169.254.170.2", "100.100.100.200", "fd00:ec2::254", "fe80::a9fe:a9fe%eth0",
		"::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "::169.254.169.254", "64:ff9b::169.254.169.254", "64:ff9b:1::a9fe:a9fe",
		"2002:a9fe:a9fe::1", "2002:a9fe:a9fe::", "2002:0a09:0009::1", "64:ff9b::10.9.0.9", "::ffff:10.9.0.9",
		"10.9.0.9", "100.64.0.9", "172.17.0.1", "192.168.1.1", "198.18.0.1", "0.0.0.1", "240.0.0.1",
	} {
		list = append(list, attempt{"special " + ip, func(ctx context.Context) (string, error) {
			return ask(ctx, "tcp", net.JoinHostPort(ip, "80"), getFor("allowed.example"))
		}})
	}
	for _, name := range []string{
		"meta.example", "private.example", "cgnat.example", "loop.example", "zero.example", "own.example", "gateway.example",
		"mapped.example", "nat64.example", "sixtofour.example",
		// As libraries read addresses, and as names for those that don't.
		"2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518", "0xa9.0xfe.0xa9.0xfe", "169.254.169.254.", "169.254.169.254.nip.io",
	} {
		list = append(list, attempt{"name " + name, func(ctx context.Context) (string, error) {
			return ask(ctx, "tcp", net.JoinHostPort(name, "80"), getFor(name))
		}}, attempt{"host " + name, func(ctx context.Context) (string, error) {
			return ask(ctx, "tcp", "v4.allowed.example:80", getFor(name))
		}})
	}
	for range 24 {
		list = append(list, attempt{"rebind.example", rebind})
	}
	return list
}

// rebind asks for a name that means something else each time.
func rebind(ctx context.Context) (string, error) {
	addrs, err := net.DefaultResolver.LookupHost(ctx, "rebind.example")
	if err != nil {
		return "", err
	}
	for _, addr := range addrs {
		if addr == allowedIP {
			continue
		}
		got, err := ask(ctx, "tcp", net.JoinHostPort(addr, "80"), getFor("rebind.example"))
		if err == nil {
			return addr + ": " + got, nil
		}
		return "", fmt.Errorf("was told %s: %w", addr, err)
	}
	return "", errors.New("was told only what is allowed")
}

// hostServices are those of the host, by all of its addresses.
func hostServices() []attempt {
	var list []attempt
	for _, addr := range []string{alias, "host.boxlite.internal", gateway, hostIP, ownIP, "2606:2800:1::1", "::ffff:" + hostIP, "127.0.0.1", "0.0.0.0", "::1", "fd62:6f78:6c69:7465::fe", "fd62:6f78:6c69:7465::1"} {
		list = append(list, attempt{"host at " + addr, func(ctx context.Context) (string, error) {
			return ask(ctx, "tcp", net.JoinHostPort(addr, hostPort), getFor("localhost"))
		}})
	}
	return list
}

// gatewayServices are all ports of the gateway but those of DNS and DHCP.
func gatewayServices() []attempt {
	return []attempt{{"gateway's ports", func(context.Context) (string, error) {
		ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
		defer cancel()
		open := scan(ctx, gateway)
		if len(open) > 0 {
			return fmt.Sprint(open), nil
		}
		return "", errors.New("only DNS is there")
	}}}
}

// scan returns the TCP ports that accept, but for DNS's.
func scan(ctx context.Context, host string) []int {
	found := make(chan int)
	ports := make(chan int)
	done := make(chan struct{})
	for range 64 {
		go func() {
			defer func() { done <- struct{}{} }()
			for port := range ports {
				conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(host, fmt.Sprint(port)))
				if err == nil {
					_ = conn.Close()
					found <- port
				}
			}
		}()
	}
	go func() {
		// All of the well-known ports, and a sample of the rest.
		for port := 1; port < 65536; port++ {
			if port <= 2048 || port%97 == 0 || port == 8080 || port == 8099 {
				ports <- port
			}
		}
		close(ports)
	}()
	var open []int
	for running := 64; running > 0; {
		select {
		case port := <-found:
			if port != 53 {
				open = append(open, port)
			}
		case <-done:
			running--
		}
	}
	return open
}
