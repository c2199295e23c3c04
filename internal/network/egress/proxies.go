package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpproxy"
	"golang.org/x/net/proxy"
)

// maxHead bounds a proxy's answer to CONNECT.
const maxHead = 64 << 10

// lookupTimeout is how long the names of all proxies may take to resolve.
const lookupTimeout = 10 * time.Second

// Proxies knows which destinations are behind a proxy.
type Proxies struct {
	choose func(*url.URL) (*url.URL, error)
	addrs  map[string][]netip.Addr // of the proxies' hosts
	tls    *tls.Config
}

// NewProxies reads the usual settings, with the meaning of http_proxy, https_proxy and
// no_proxy. Names of proxies are resolved now, as later nothing is. It returns nil if
// there are no proxies.
func NewProxies(ctx context.Context, httpURL, httpsURL, no string, roots *tls.Config) (*Proxies, error) {
	if httpURL == "" && httpsURL == "" {
		return nil, nil
	}
	cfg := httpproxy.Config{HTTPProxy: httpURL, HTTPSProxy: httpsURL, NoProxy: no}
	p := &Proxies{choose: cfg.ProxyFunc(), addrs: make(map[string][]netip.Addr), tls: roots}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	for _, text := range []string{httpURL, httpsURL} {
		if text == "" {
			continue
		}
		u, err := parse(text)
		if err != nil {
			return nil, err
		}
		if err := p.resolve(ctx, u.Hostname()); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// parse reads a proxy's URL; without a scheme it is http. Errors never contain the URL,
// as there may be a password in it.
func parse(text string) (*url.URL, error) {
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" {
		return nil, errors.New("proxy: not a URL with a host")
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
		return u, nil
	}
	return nil, fmt.Errorf("proxy %s: its scheme %q is none of http, https, socks5", u.Host, u.Scheme)
}

func (p *Proxies) resolve(ctx context.Context, host string) error {
	if addr, err := netip.ParseAddr(host); err == nil {
		p.addrs[host] = []netip.Addr{addr}
		return nil
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return fmt.Errorf("find proxy: %w", err)
	}
	p.addrs[host] = addrs
	return nil
}

// via is a proxy for one connection.
type via struct {
	*Proxies
	url *url.URL
}

// For returns the proxy for a destination, or nil. Port 80 is HTTP, everything else has
// the proxy for HTTPS: both are asked to CONNECT.
func (p *Proxies) For(addr netip.AddrPort, name string) *via {
	if p == nil || addr.Addr().IsLoopback() {
		return nil
	}
	scheme := "https"
	if addr.Port() == 80 {
		scheme = "http"
	}
	// What is excepted may be written as a name or as an address.
	for _, target := range []string{target(addr, name), addr.String()} {
		u, err := p.choose(&url.URL{Scheme: scheme, Host: target})
		if err != nil || u == nil {
			return nil
		}
	}
	u, err := p.choose(&url.URL{Scheme: scheme, Host: target(addr, name)})
	if err != nil || u == nil {
		return nil
	}
	return &via{p, u}
}

// target returns what a proxy is asked for.
func target(addr netip.AddrPort, name string) string {
	if name == "" {
		return addr.String()
	}
	return net.JoinHostPort(name, strconv.Itoa(int(addr.Port())))
}

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// connect opens a connection through the proxy.
func (v *via) connect(ctx context.Context, dial dialFunc, addr netip.AddrPort, name string) (net.Conn, error) {
	conn, err := v.reach(ctx, dial)
	if err != nil {
		return nil, fmt.Errorf("reach proxy %s: %w", v.url.Host, err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	through, err := v.ask(ctx, conn, target(addr, name))
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("proxy %s: %w", v.url.Host, err)
	}
	return through, nil
}

// reach connects to the proxy itself.
func (v *via) reach(ctx context.Context, dial dialFunc) (net.Conn, error) {
	port := v.url.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[v.url.Scheme]
	}
	err := errors.New("it has no address")
	for _, addr := range v.addrs[v.url.Hostname()] {
		var conn net.Conn
		if conn, err = dial(ctx, "tcp", net.JoinHostPort(addr.String(), port)); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// ask has the proxy connect to target.
func (v *via) ask(ctx context.Context, conn net.Conn, target string) (net.Conn, error) {
	switch v.url.Scheme {
	case "socks5", "socks5h":
		return v.socks(ctx, conn, target)
	case "https":
		cfg := v.tls.Clone()
		if cfg == nil {
			cfg = new(tls.Config)
		}
		cfg.ServerName, cfg.NextProtos = v.url.Hostname(), []string{"http/1.1"}
		secure := tls.Client(conn, cfg)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		conn = secure
	}
	return v.http(conn, target)
}

func (v *via) http(conn net.Conn, target string) (net.Conn, error) {
	var head strings.Builder
	fmt.Fprintf(&head, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n", target, target)
	if user := v.url.User; user != nil {
		password, _ := user.Password()
		both := base64.StdEncoding.EncodeToString([]byte(user.Username() + ":" + password))
		fmt.Fprintf(&head, "Proxy-Authorization: Basic %s\r\n", both)
	}
	head.WriteString("\r\n")
	if _, err := io.WriteString(conn, head.String()); err != nil {
		return nil, err
	}
	limited := &io.LimitedReader{R: conn, N: maxHead}
	r := bufio.NewReader(limited)
	response, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
	if err != nil {
		return nil, fmt.Errorf("read its answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		response.Body.Close()
		return nil, fmt.Errorf("it answered %q", response.Status)
	}
	if n := r.Buffered(); n > 0 {
		rest, _ := r.Peek(n) // it is there
		return &preceded{Conn: conn, rest: rest}, nil
	}
	return conn, nil
}

func (v *via) socks(ctx context.Context, conn net.Conn, target string) (net.Conn, error) {
	var auth *proxy.Auth
	if user := v.url.User; user != nil {
		password, _ := user.Password()
		auth = &proxy.Auth{User: user.Username(), Password: password}
	}
	dialer, err := proxy.SOCKS5("tcp", v.url.Host, auth, given{conn})
	if err != nil {
		return nil, err
	}
	asked, ok := dialer.(proxy.ContextDialer)
	if !ok {
		return nil, errors.New("socks5 dialer takes no context")
	}
	if _, err := asked.DialContext(ctx, "tcp", target); err != nil {
		return nil, err
	}
	return conn, nil
}

// given is a dialer whose connection is there already.
type given struct{ conn net.Conn }

func (g given) Dial(string, string) (net.Conn, error) { return g.conn, nil }

func (g given) DialContext(context.Context, string, string) (net.Conn, error) { return g.conn, nil }

// preceded is a connection of which something was read already.
type preceded struct {
	net.Conn
	rest []byte
}

func (p *preceded) Read(b []byte) (int, error) {
	if len(p.rest) > 0 {
		n := copy(b, p.rest)
		p.rest = p.rest[n:]
		return n, nil
	}
	return p.Conn.Read(b)
}

// CloseWrite passes the end of what is sent on.
func (p *preceded) CloseWrite() error {
	if c, ok := p.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return errors.ErrUnsupported
}
