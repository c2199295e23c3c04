package dns

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Bounds of what is tried for one question.
const (
	maxResolvers = 3 // as of resolv.conf
	rounds       = 2
	maxDatagrams = 64 // wrong ones for each right one
)

var (
	errNoResolver = errors.New("the host has no DNS server")
	errFailed     = errors.New("no DNS server has an answer")
	errForged     = errors.New("an answer is not for the question")
	errBusy       = errors.New("too many questions at the same time")
)

// lookup finds what resolvers say, in the cache or by asking.
func (s *Server) lookup(ctx context.Context, q question) (result, error) {
	if r, ok := s.cache.get(q, s.options.Now()); ok {
		return r, nil
	}
	return s.flights.do(ctx, q, func(ctx context.Context) (result, error) {
		select {
		case s.slots <- struct{}{}:
			defer func() { <-s.slots }()
		default:
			return result{}, errBusy
		}
		r, size, err := s.ask(ctx, q)
		if err == nil {
			s.cache.put(q, r, size, s.options.Now())
		}
		return r, err
	})
}

// ask asks one resolver after the other, until one knows.
func (s *Server) ask(ctx context.Context, q question) (result, int, error) {
	name, err := dnsmessage.NewName(q.name + ".")
	if err != nil {
		return result{}, 0, fmt.Errorf("ask for %s: %w", q.name, err)
	}
	asked := dnsmessage.Question{Name: name, Type: q.kind, Class: dnsmessage.ClassINET}
	resolvers := s.resolvers()
	err = errNoResolver
	for range rounds {
		for _, server := range resolvers {
			var answer []byte
			if answer, err = s.exchange(ctx, server, asked); err == nil {
				var r result
				if r, err = parseAnswer(answer, asked); err == nil {
					s.last.Store(server)
					return r, len(answer), nil
				}
			}
			if ctx.Err() != nil {
				return result{}, 0, ctx.Err()
			}
		}
	}
	return result{}, 0, err
}

// resolvers returns whom to ask, beginning with the one that has answered last: time was
// lost with those before it.
func (s *Server) resolvers() []netip.AddrPort {
	resolvers := s.options.Resolvers()
	resolvers = slices.Clone(resolvers[:min(len(resolvers), maxResolvers)])
	if last, ok := s.last.Load().(netip.AddrPort); ok {
		if i := slices.Index(resolvers, last); i > 0 {
			resolvers = slices.Insert(slices.Delete(resolvers, i, i+1), 0, last)
		}
	}
	return resolvers
}

// exchange asks one resolver: over UDP, and over TCP if the answer was cut off.
func (s *Server) exchange(ctx context.Context, server netip.AddrPort, asked dnsmessage.Question) ([]byte, error) {
	answer, err := s.exchangeOver(ctx, "udp", server, asked, true)
	if err == nil && isCode(answer, dnsmessage.RCodeFormatError, dnsmessage.RCodeNotImplemented) {
		answer, err = s.exchangeOver(ctx, "udp", server, asked, false) // it may not know EDNS
	}
	if err == nil && answer[2]&truncatedBit != 0 {
		answer, err = s.exchangeOver(ctx, "tcp", server, asked, true)
	}
	return answer, err
}

// truncatedBit is TC, in the third byte of a message.
const truncatedBit = 2

func isCode(answer []byte, codes ...dnsmessage.RCode) bool {
	for _, code := range codes {
		if dnsmessage.RCode(answer[3]&0xf) == code {
			return true
		}
	}
	return false
}

func (s *Server) exchangeOver(ctx context.Context, network string, server netip.AddrPort, asked dnsmessage.Question, edns bool) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	conn, err := s.options.Dial(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	id := randomID()
	message := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: id, RecursionDesired: true},
		Questions: []dnsmessage.Question{asked},
	}
	if edns {
		message.Additionals = []dnsmessage.Resource{optRecord(upstreamUDP)}
	}
	query, err := message.Pack()
	if err != nil {
		return nil, err
	}
	if network == "tcp" {
		if err := writeTCP(conn, query); err != nil {
			return nil, err
		}
		answer, err := readTCP(conn, maxTCP)
		if err == nil && !isAnswer(answer, id, asked) {
			err = errForged
		}
		return answer, err
	}
	if _, err := conn.Write(query); err != nil {
		return nil, err
	}
	buffer := make([]byte, maxUDP)
	for range maxDatagrams {
		n, err := conn.Read(buffer)
		if err != nil {
			return nil, err
		}
		if answer := buffer[:n]; isAnswer(answer, id, asked) {
			return answer, nil
		}
	}
	return nil, errForged
}

func randomID() uint16 {
	var b [2]byte
	rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint16(b[:])
}

// isAnswer reports whether a message answers what was asked, and not something else.
func isAnswer(b []byte, id uint16, asked dnsmessage.Question) bool {
	var p dnsmessage.Parser
	header, err := p.Start(b)
	if err != nil || !header.Response || header.ID != id || header.OpCode != 0 {
		return false
	}
	q, err := p.Question()
	if err != nil || q.Type != asked.Type || q.Class != asked.Class || !strings.EqualFold(q.Name.String(), asked.Name.String()) {
		return false
	}
	_, err = p.Question()
	return err == dnsmessage.ErrSectionDone
}

// writeTCP writes a message as it is sent over TCP (RFC 1035, 4.2.2).
func writeTCP(w io.Writer, message []byte) error {
	b := make([]byte, 2, 2+len(message))
	binary.BigEndian.PutUint16(b, uint16(len(message)))
	_, err := w.Write(append(b, message...))
	return err
}

// readTCP reads a message of at most limit bytes.
func readTCP(r io.Reader, limit int) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(length[:]))
	if n < headerSize || n > limit {
		return nil, fmt.Errorf("a message over TCP has %d bytes, not %d to %d", n, headerSize, limit)
	}
	message := make([]byte, n)
	if _, err := io.ReadFull(r, message); err != nil {
		return nil, err
	}
	return message, nil
}
