package network

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"github.com/boxlite-go/boxlite/internal/network/policy"
	"github.com/boxlite-go/boxlite/internal/network/sniff"
)

const (
	// strictWait is how long a flow that must be looked into may say nothing, and
	// lenientWait how long one that passes anyway may: servers that speak first are
	// seldom on such ports.
	strictWait  = 30 * time.Second
	lenientWait = 3 * time.Second
)

// looksFirst reports whether what the guest says decides to whom it is connected.
func (n *Network) looksFirst(f *flow, verdict policy.Verdict) bool {
	port := f.question.Addr.Port()
	if n.interceptsPort(port) {
		return true
	}
	return verdict == policy.Inspect && (guestSpeaksFirst(port) || n.cfg.InspectTLS)
}

// guestSpeaksFirst reports whether a port is one where servers wait for what they are
// asked, in TLS or HTTP.
func guestSpeaksFirst(port uint16) bool { return port == httpPort || port == httpsPort }

// lookFirst accepts a connection, reads what the guest says first, and connects it to
// whom that is for. Strict means that nothing else may pass.
func (n *Network) lookFirst(f *flow, a *attempt, strict bool) {
	guest, err := a.accept(f)
	if err != nil {
		return
	}
	conn := &replay{guestConn: guest}
	port := f.question.Addr.Port()
	mustSpeak := strict && (guestSpeaksFirst(port) || n.interceptsPort(port))
	limit := lenientWait
	if mustSpeak {
		limit = strictWait
	}
	first := n.look(f, conn, limit)
	if strict && !mustSpeak && first.err != nil && len(conn.ahead) == 0 {
		server, err := n.dial(f)
		if err != nil {
			f.reset()
			return
		}
		n.watch(f, conn, server)
		return
	}
	if first.err != nil && strict {
		n.refuseUnreadable(f, conn)
		f.reset()
		return
	}
	switch first.kind {
	case sniff.TLS:
		n.connectTLS(f, conn, first.hello, strict)
		return
	case sniff.HTTP:
		n.connectHTTP(f, conn, strict)
		return
	}
	if strict && (mustSpeak || first.kind != sniff.Unknown) && !n.allowSeen(f, "", "tls") {
		f.reset()
		return
	}
	n.connect(f, conn)
}

// refuseUnreadable tells of a flow that began with something that can't be judged.
func (n *Network) refuseUnreadable(f *flow, conn *replay) {
	if len(conn.ahead) > 0 {
		n.refuse("tls", f.question, "(unreadable)")
	}
}

// connectTLS connects a flow that began with a ClientHello.
func (n *Network) connectTLS(f *flow, conn *replay, hello sniff.Hello, strict bool) {
	intercept := n.intercepts(hello.SNI, f.question.Addr.Port())
	name := hello.SNI
	if hello.ECH && !intercept {
		name = "" // what is asked for is encrypted
	}
	if strict && !n.allowSeen(f, name, "tls") {
		f.reset()
		return
	}
	if intercept {
		n.inspector.ServeTLS(f.ctx, counting(conn, f), n.inspected(f, hello.SNI))
		return
	}
	n.connect(f, conn)
}

// connectHTTP connects a flow that began with a request of HTTP/1. Where names decide,
// each request in the connection is looked into.
func (n *Network) connectHTTP(f *flow, conn *replay, strict bool) {
	if strict || n.inspector.InterceptsHTTP(f.question.Addr.Port()) {
		n.inspector.ServeHTTP(f.ctx, counting(conn, f), n.inspected(f, ""))
		return
	}
	n.connect(f, conn)
}

// allowHost asks the policy about the host of the request that b begins with.
func (n *Network) allowHost(f *flow, b []byte) bool {
	host, complete, err := sniff.Host(b)
	if !complete || err != nil {
		host = "" // servers may understand it in different ways
	}
	return n.allowSeen(f, host, "http")
}

// connect connects a flow that was accepted already.
func (n *Network) connect(f *flow, guest net.Conn) {
	server, err := n.dial(f)
	if err != nil {
		f.reset()
		return
	}
	relay(guest, server, &f.traffic.Up, &f.traffic.Down)
}

// lookMeanwhile connects a flow to a port where the server may speak first, and holds back
// what the guest says until it is known what that is.
func (n *Network) lookMeanwhile(f *flow, a *attempt) {
	server, err := n.dial(f)
	if err != nil {
		return
	}
	guest, err := a.accept(f)
	if err != nil {
		return
	}
	n.watch(f, &replay{guestConn: guest}, server)
}

// watch relays between the guest and a server to which it is connected already. What it
// says first may still end that.
func (n *Network) watch(f *flow, conn *replay, server net.Conn) {
	guest := conn.guestConn
	down := make(chan error, 1)
	go func() { down <- pass(guest, server, &f.traffic.Down) }()

	first := n.look(f, conn, 0)
	allowed := first.err == nil || len(conn.ahead) == 0
	switch {
	case !allowed:
		n.refuseUnreadable(f, conn)
	case first.kind == sniff.TLS && n.cfg.InspectTLS:
		n.refuse("tls", f.question, "(too late to look into it)")
		allowed = false
	case first.kind == sniff.TLS:
		name := first.hello.SNI
		if first.hello.ECH {
			name = ""
		}
		allowed = n.allowSeen(f, name, "tls")
	case first.kind == sniff.HTTP, first.kind == sniff.HTTP2:
		allowed = n.allowHost(f, conn.ahead)
	}
	if !allowed {
		f.reset()
		<-down
		return
	}
	finish(guest, server, pass(server, conn, &f.traffic.Up), down)
}

// allowSeen asks the policy about a name that was seen in a flow.
func (n *Network) allowSeen(f *flow, name, kind string) bool {
	question := f.question
	question.Kind, question.Name = policy.Seen, name
	decision := n.policy.Load().Decide(question)
	if decision.Verdict != policy.Allow {
		n.refuse(kind, question, decision.Rule)
		return false
	}
	if name != "" {
		f.saw(name)
	}
	return true
}

// first is what a flow said first.
type first struct {
	kind  sniff.Kind
	hello sniff.Hello
	err   error // it ended, or what it said is no good
}

// look reads ahead until it is known what the flow is. A limit of 0 is none.
func (n *Network) look(f *flow, conn *replay, limit time.Duration) first {
	if limit > 0 {
		ctx, cancel := context.WithTimeout(f.ctx, limit)
		defer cancel()
		stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
		defer func() {
			stop()
			_ = conn.SetReadDeadline(time.Time{}) // gonet's never fails
		}()
	}
	for {
		if len(conn.ahead) > 0 {
			if first, done := classify(conn.ahead); done {
				return first
			}
		}
		if len(conn.ahead) >= sniff.Max {
			return first{err: errors.New("it says too much before it says what it is")}
		}
		if err := conn.more(); err != nil {
			return first{err: err}
		}
	}
}

// classify returns what a flow is, if its first bytes tell.
func classify(b []byte) (f first, done bool) {
	kind, more := sniff.Classify(b)
	f.kind = kind
	switch {
	case more:
		return f, false
	case kind == sniff.TLS:
		var complete bool
		f.hello, complete, f.err = sniff.ClientHello(b)
		return f, complete || f.err != nil
	case kind == sniff.HTTP:
		_, complete, err := sniff.Host(b)
		return f, complete || err != nil
	}
	return f, true
}

// replay is a connection with the guest of which something was read ahead.
type replay struct {
	*guestConn
	ahead []byte
	read  int // how much of it
}

// more reads once.
func (r *replay) more() error {
	buf := make([]byte, 4<<10)
	n, err := r.guestConn.Read(buf)
	r.ahead = append(r.ahead, buf[:n]...)
	if n > 0 {
		return nil
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

// Read reads what was read ahead, and then on.
func (r *replay) Read(b []byte) (int, error) {
	if r.read < len(r.ahead) {
		n := copy(b, r.ahead[r.read:])
		r.read += n
		if r.read == len(r.ahead) {
			r.ahead, r.read = nil, 0
		}
		return n, nil
	}
	return r.guestConn.Read(b)
}
