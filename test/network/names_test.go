//go:build linux

package network

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// question is what a name server was asked: a name in lower case, without its last dot,
// and a type.
type question struct{ name, kind string }

func (q question) String() string { return q.kind + " " + q.name }

// nameServer answers as its zone says, and remembers what it was asked.
type nameServer struct {
	mu    sync.Mutex
	asked []question
	// zone returns records, "TYPE DATA", for the nth time that the same is asked.
	zone func(q question, n int) []string
}

func (w *internet) serveNames(ip string) (*nameServer, error) {
	s := &nameServer{zone: zone}
	packets, err1 := w.listenPacket(net.JoinHostPort(ip, "53"))
	streams, err2 := w.listen(net.JoinHostPort(ip, "53"))
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	go (&dns.Server{PacketConn: packets, Handler: s}).ActivateAndServe()
	go (&dns.Server{Listener: streams, Handler: s}).ActivateAndServe()
	return s, nil
}

// ServeDNS implements dns.Handler.
func (s *nameServer) ServeDNS(w dns.ResponseWriter, request *dns.Msg) {
	reply := new(dns.Msg)
	reply.SetReply(request)
	reply.Authoritative, reply.RecursionAvailable = true, true
	if len(request.Question) != 1 {
		reply.Rcode = dns.RcodeFormatError
		_ = w.WriteMsg(reply)
		return
	}
	asked := request.Question[0]
	q := question{strings.ToLower(strings.TrimSuffix(asked.Name, ".")), dns.TypeToString[asked.Qtype]}
	s.mu.Lock()
	n := 0
	for _, before := range s.asked {
		if before == q {
			n++
		}
	}
	s.asked = append(s.asked, q)
	records := s.zone(q, n)
	s.mu.Unlock()
	owner := asked.Name
	for _, text := range records {
		if text == "NODATA" {
			break
		}
		record, err := dns.NewRR(owner + " 0 IN " + text)
		if err != nil {
			panic(fmt.Sprintf("%s: %v", text, err))
		}
		reply.Answer = append(reply.Answer, record)
		if alias, ok := record.(*dns.CNAME); ok {
			owner = alias.Target
		}
	}
	if len(records) == 0 {
		reply.Rcode = dns.RcodeNameError
	}
	size := dns.MinMsgSize
	if opt := request.IsEdns0(); opt != nil {
		size = max(size, int(opt.UDPSize()))
	}
	if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
		reply.Truncate(size)
	}
	_ = w.WriteMsg(reply)
}

// reset forgets what was asked.
func (s *nameServer) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = nil
}

// questions returns all that was asked, each once.
func (s *nameServer) questions() []question {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Clone(s.asked)
	slices.SortFunc(all, func(a, b question) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(all)
}

// hosts are names with the records that they have.
var hosts = map[string][]string{
	"allowed.example":       {"A " + allowedIP, "AAAA " + allowedIP6, "TXT \"leaked\"", "MX 10 mail.allowed.example.", "HTTPS 1 . alpn=h2 ech=AAAA"},
	"mail.allowed.example":  {"A " + allowedIP},
	"v4.allowed.example":    {"A " + allowedIP},
	"evil.example":          {"A " + allowedIP, "AAAA " + allowedIP6}, // at the same CDN
	"other.example":         {"A " + evilIP, "AAAA " + evilIP6},
	"alias.example":         {"CNAME edge.cdn.example.", "A " + allowedIP},
	"xn--bcher-kva.example": {"A " + allowedIP},
	"short.corp.example":    {"A " + allowedIP},
	"meta.example":          {"A " + metadataIP, "AAAA " + metadataIP6},
	"private.example":       {"A " + privateIP},
	"cgnat.example":         {"A " + cgnatIP},
	"loop.example":          {"A 127.0.0.1", "AAAA ::1"},
	"zero.example":          {"A 0.0.0.0", "AAAA ::"},
	"own.example":           {"A " + hostPublic},
	"gateway.example":       {"A 192.168.127.254"},
	"mapped.example":        {"AAAA ::ffff:" + metadataIP},
	"nat64.example":         {"AAAA 64:ff9b::a9fe:a9fe"},
	"sixtofour.example":     {"AAAA 2002:a9fe:a9fe::1"},
	"mixed.example":         {"A " + metadataIP, "A " + allowedIP},
}

// rebinding are the answers of rebind.example, one after the other.
var rebinding = []string{allowedIP, metadataIP, "127.0.0.1", privateIP, cgnatIP, hostPublic, hostIP, "192.168.127.1"}

// zone is what the host's name server knows.
func zone(q question, n int) []string {
	records, known := hosts[q.name]
	switch {
	case q.name == "rebind.example":
		records, known = []string{"A " + rebinding[n%len(rebinding)]}, true
	case strings.HasSuffix(q.name, ".wild.example"):
		records, known = []string{"A " + allowedIP, "AAAA " + allowedIP6}, true
	case q.name == "large.allowed.example":
		for i := range 100 {
			records = append(records, fmt.Sprintf("A 93.184.216.%d", 100+i))
		}
		known = true
	}
	if !known {
		return nil
	}
	var found []string
	for _, r := range records {
		if kind, _, _ := strings.Cut(r, " "); kind == q.kind || kind == "CNAME" {
			found = append(found, r)
		}
	}
	if len(found) == 0 {
		return []string{"NODATA"}
	}
	return found
}
