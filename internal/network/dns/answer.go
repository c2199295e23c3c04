package dns

import (
	"fmt"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// Bounds of an answer that is understood.
const (
	maxAliases = 16
	maxRecords = 512
)

// parseAnswer takes out of a resolver's answer what was asked for: the records of the
// name, and of those that it is an alias of. Everything else, which resolvers add as they
// like, is left out.
func parseAnswer(b []byte, asked dnsmessage.Question) (result, error) {
	var p dnsmessage.Parser
	header, err := p.Start(b)
	if err != nil {
		return result{}, err
	}
	if header.RCode != dnsmessage.RCodeSuccess && header.RCode != dnsmessage.RCodeNameError {
		return result{}, fmt.Errorf("%w: %v", errFailed, header.RCode)
	}
	if header.Truncated {
		return result{}, fmt.Errorf("%w: it is cut off", errFailed)
	}
	if err := p.SkipAllQuestions(); err != nil {
		return result{}, err
	}
	records, err := readRecords(&p)
	if err != nil {
		return result{}, err
	}
	r := result{rcode: header.RCode, answers: follow(records, asked)}
	if isNegative(r, asked.Type) {
		r.authorities = soa(&p)
	}
	return r, nil
}

// readRecords reads the answer section.
func readRecords(p *dnsmessage.Parser) ([]dnsmessage.Resource, error) {
	var records []dnsmessage.Resource
	for {
		r, err := p.Answer()
		if err == dnsmessage.ErrSectionDone {
			return records, nil
		}
		if err != nil {
			return nil, err
		}
		if len(records) == maxRecords {
			return nil, fmt.Errorf("%w: more than %d records", errFailed, maxRecords)
		}
		if r.Header.TTL > 1<<31-1 { // RFC 2181, 8
			r.Header.TTL = 0
		}
		records = append(records, r)
	}
}

// follow returns the records that lead from the name asked for to what is of the type.
func follow(records []dnsmessage.Resource, asked dnsmessage.Question) []dnsmessage.Resource {
	var chain []dnsmessage.Resource
	name := asked.Name.String()
	for range maxAliases {
		alias := ""
		found := false
		for _, r := range records {
			if r.Header.Class != dnsmessage.ClassINET || !strings.EqualFold(r.Header.Name.String(), name) {
				continue
			}
			if r.Header.Type == asked.Type {
				chain = append(chain, r)
				found = true
			} else if cname, ok := r.Body.(*dnsmessage.CNAMEResource); ok && alias == "" {
				chain = append(chain, r)
				alias = cname.CNAME.String()
			}
		}
		if found || alias == "" {
			break
		}
		name = alias
	}
	return chain
}

// isNegative reports whether an answer has nothing of the type asked for.
func isNegative(r result, kind dnsmessage.Type) bool {
	return len(r.answers) == 0 || r.answers[len(r.answers)-1].Header.Type != kind
}

// soa returns the record that says for how long a negative answer counts, with just that
// as TTL (RFC 2308, 5).
func soa(p *dnsmessage.Parser) []dnsmessage.Resource {
	for range maxRecords {
		r, err := p.Authority()
		if err != nil {
			return nil // without one, the answer is not kept
		}
		if body, ok := r.Body.(*dnsmessage.SOAResource); ok && r.Header.Class == dnsmessage.ClassINET {
			r.Header.TTL = min(r.Header.TTL, body.MinTTL, maxNegative)
			return []dnsmessage.Resource{r}
		}
	}
	return nil
}
