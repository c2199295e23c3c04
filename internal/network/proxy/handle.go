package proxy

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/boxlite-go/boxlite/internal/network/policy"
)

// handle serves one request.
func (s *session) handle(w http.ResponseWriter, r *http.Request) {
	if !s.requests.enter() {
		panic(http.ErrAbortHandler)
	}
	defer s.requests.leave()
	name, ok := s.admit(w, r)
	if !ok {
		return
	}
	e := &exchange{session: s, name: name, in: r, w: w, secrets: s.substitution(name)}
	defer e.release()
	if err := e.prepare(); err != nil {
		e.fail(err)
		return
	}
	if kind := upgradeOf(r); kind != "" {
		e.upgrade(kind)
		return
	}
	e.forward()
}

// admit decides whether a request may be, by its host, and answers it if not.
func (s *session) admit(w http.ResponseWriter, r *http.Request) (name string, ok bool) {
	host, port, ok := splitHost(r.Host)
	if r.Method == http.MethodConnect {
		s.refuse(w, r, http.StatusForbidden, host, "(CONNECT)")
		return "", false
	}
	if !ok || r.Method == "PRI" {
		s.answer(w, r, http.StatusBadRequest, "the request has no proper host")
		return "", false
	}
	scheme, usual := "http", uint16(httpPort)
	if s.tls {
		scheme, usual = "https", httpsPort
	}
	if port == 0 {
		port = usual
	}
	own := s.flow.Addr.Port()
	name, err := policy.Canonical(host)
	if err != nil {
		name = ""
	}
	isOther := s.tls && name != s.name || r.URL.Scheme != "" && !strings.EqualFold(r.URL.Scheme, scheme)
	if isOther || port != own && port != usual {
		s.refuse(w, r, http.StatusMisdirectedRequest, host, "(another host than the connection is for)")
		return "", false
	}
	if d := s.flow.Check(host); d.Verdict != policy.Allow {
		s.refuse(w, r, http.StatusForbidden, host, d.Rule)
		return "", false
	}
	return name, true
}

// substitution returns what is replaced in a request to a name, and its answer; or nil.
func (s *session) substitution(name string) *substitution {
	if name == "" {
		return nil
	}
	if !s.tls && !s.knows(name) {
		return nil // nothing shows that the server has this name
	}
	return s.proxy.secrets.to(name, s.flow.Addr.Port(), !s.tls)
}

// knows reports whether the flow's address was looked up by a canonical name.
func (s *session) knows(name string) bool {
	return slices.ContainsFunc(s.flow.Names, func(known string) bool {
		canonical, err := policy.Canonical(known)
		return err == nil && canonical == name
	})
}

// refuse answers a request that may not be.
func (s *session) refuse(w http.ResponseWriter, r *http.Request, status int, host, rule string) {
	s.flow.Denied(host, rule)
	w.Header().Set("X-Boxlite-Denied", fit(rule))
	s.answer(w, r, status, fmt.Sprintf("%s is not allowed: %s", fit(host), fit(rule)))
}

// answer answers a request in the server's place.
func (s *session) answer(w http.ResponseWriter, r *http.Request, status int, text string) {
	header := w.Header()
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("X-Content-Type-Options", "nosniff")
	if r.ProtoMajor == 1 {
		header.Set("Connection", "close")
	}
	w.WriteHeader(status)
	if _, err := fmt.Fprintf(w, "boxlite: %s\n", text); err != nil {
		s.proxy.log.Debug("the guest did not read an answer")
	}
}

// fit makes of what a guest sent something for a line of text.
func fit(text string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '?'
		}
		return c
	}, text[:min(len(text), 300)])
}

// splitHost parts the host of a request. The port is 0 if there is none.
func splitHost(text string) (host string, port uint16, ok bool) {
	if text == "" {
		return "", 0, false
	}
	host = text
	if name, number, err := net.SplitHostPort(text); err == nil {
		if port, ok = parsePort(number); !ok && number != "" {
			return text, 0, false
		}
		return name, port, name != ""
	}
	if inner, isBracketed := strings.CutPrefix(text, "["); isBracketed {
		host = strings.TrimSuffix(inner, "]")
		if _, err := netip.ParseAddr(host); err != nil || len(host) != len(text)-2 {
			return text, 0, false
		}
		return host, 0, true
	}
	return host, 0, !strings.Contains(host, ":")
}

// hopByHop are headers about one connection (RFC 9110, 7.6.1).
var hopByHop = []string{
	"Connection", "Proxy-Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Http2-Settings",
}

// removeHopByHop removes headers that are not for the other side.
func removeHopByHop(h http.Header) {
	for _, line := range h["Connection"] {
		for token := range strings.SplitSeq(line, ",") {
			if token = strings.TrimSpace(token); token != "" {
				h.Del(token)
			}
		}
	}
	for _, key := range hopByHop {
		delete(h, key)
	}
}

// upgradeOf returns the protocol that a request asks to go on with, in lower case, or "".
// HTTP/2 is none: a server need not, and its requests could not be looked into.
func upgradeOf(r *http.Request) string {
	if r.ProtoMajor != 1 || !httpguts.HeaderValuesContainsToken(r.Header["Connection"], "Upgrade") {
		return ""
	}
	kind := strings.ToLower(strings.Join(r.Header["Upgrade"], ","))
	for token := range strings.SplitSeq(kind, ",") {
		protocol, _, _ := strings.Cut(strings.TrimSpace(token), "/")
		if protocol == "h2c" || protocol == "h2" || protocol == "http" || protocol == "tls" {
			return ""
		}
	}
	return kind
}

// errUnfit is that a value can't be where its placeholder is.
var errUnfit = errors.New("a secret's value has characters that a header can't have: it may be used in bodies only")
