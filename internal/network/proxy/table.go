package proxy

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"sync"

	"github.com/boxlite-go/boxlite/internal/network/proxy/substitute"
	"github.com/boxlite-go/boxlite/internal/protocol"
)

// table is a compiled set of secrets. It never changes, but for its cache.
type table struct {
	secrets []entry
	all     *substitute.Replacer // any value to its placeholder, for logs

	// substitutions by the secrets in them. There are as many as there are sets of
	// secrets for one host, whatever names guests ask for.
	mu            sync.Mutex
	substitutions map[string]*substitution
}

type entry struct {
	secret Secret
	hosts  []host
}

// compile makes the table of secrets.
func compile(secrets []Secret) (*table, error) {
	if len(secrets) > maxSecrets {
		return nil, &protocol.Error{Kind: protocol.KindInvalidArgument, Op: "use secrets", Err: fmt.Errorf("%d secrets, more than %d", len(secrets), maxSecrets)}
	}
	t := &table{substitutions: make(map[string]*substitution)}
	used := make(map[string]string)
	for _, s := range secrets {
		if err := s.Validate(); err != nil {
			return nil, err
		}
		if other, ok := used[s.Placeholder]; ok {
			return nil, &protocol.Error{
				Kind: protocol.KindInvalidArgument, Op: fmt.Sprintf("use secret %.64q", s.Name),
				Err: fmt.Errorf("it has the placeholder of secret %.64q", other), Hint: "give each secret a placeholder of its own",
			}
		}
		used[s.Placeholder] = s.Name
		e := entry{secret: s}
		for _, text := range s.Hosts {
			h, err := parseHost(text)
			if err != nil {
				return nil, err
			}
			e.hosts = append(e.hosts, h)
		}
		t.secrets = append(t.secrets, e)
	}
	var every []int
	for i := range t.secrets {
		every = append(every, i)
	}
	t.all = t.build(every).mask
	return t, nil
}

// any reports whether there is a host for which is reports true.
func (t *table) any(is func(host) bool) bool {
	for _, e := range t.secrets {
		for _, h := range e.hosts {
			if is(h) {
				return true
			}
		}
	}
	return false
}

// to returns what is substituted in requests to a canonical name, or nil.
func (t *table) to(name string, port uint16, plain bool) *substitution {
	var matching []int
	for i, e := range t.secrets {
		for _, h := range e.hosts {
			if h.is(name, port, plain) {
				matching = append(matching, i)
				break
			}
		}
	}
	if matching == nil {
		return nil
	}
	key := fmt.Sprint(matching)
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.substitutions[key]
	if s == nil {
		s = t.build(matching)
		t.substitutions[key] = s
	}
	return s
}

// substitution is what is replaced in what goes to one host, and comes from it.
type substitution struct {
	// Of placeholders by values, as the values are written there.
	plain, path, query, json *substitute.Replacer
	// Of values by placeholders.
	mask *substitute.Replacer
}

// build makes the substitution of some secrets.
func (t *table) build(which []int) *substitution {
	var plain, path, query, inJSON, mask []substitute.Pair
	for _, i := range which {
		s := t.secrets[i].secret
		plain = append(plain, substitute.Pair{Old: s.Placeholder, New: s.Value})
		path = append(path, substitute.Pair{Old: s.Placeholder, New: url.PathEscape(s.Value)})
		query = append(query, forms(s, url.QueryEscape)...)
		inJSON = append(inJSON, forms(s, quoted)...)
		mask = append(mask, masks(s)...)
	}
	return &substitution{
		plain: substitute.New(plain), path: substitute.New(path), query: substitute.New(query),
		json: substitute.New(inJSON), mask: substitute.New(unique(mask)),
	}
}

// forms pairs a placeholder, as it is and escaped, with the escaped value.
func forms(s Secret, escape func(string) string) []substitute.Pair {
	pairs := []substitute.Pair{{Old: s.Placeholder, New: escape(s.Value)}}
	if escaped := escape(s.Placeholder); escaped != s.Placeholder {
		pairs = append(pairs, substitute.Pair{Old: escaped, New: escape(s.Value)})
	}
	return pairs
}

// minInner is the length of a value from which it is looked for inside of other things
// that are in base64: what is left of a shorter one is found by chance.
const minInner = 12

// masks pairs the ways in which a server may repeat a value with the placeholder.
func masks(s Secret) []substitute.Pair {
	var pairs []substitute.Pair
	add := func(forms ...string) {
		for _, form := range forms {
			pairs = append(pairs, substitute.Pair{Old: form, New: s.Placeholder})
		}
	}
	add(s.Value)
	add(url.QueryEscape(s.Value), url.PathEscape(s.Value), lowerEscapes(url.QueryEscape(s.Value)), lowerEscapes(url.PathEscape(s.Value)))
	add(quoted(s.Value), quotedPlain(s.Value))
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding, base64.RawURLEncoding} {
		add(encoding.EncodeToString([]byte(s.Value)))
		if len(s.Value) >= minInner {
			add(inner(encoding, s.Value)...)
		}
	}
	return pairs
}

// inner returns what base64 makes of the value with something before and after it,
// without the characters that depend on that: the value of basic authentication is one.
func inner(encoding *base64.Encoding, value string) []string {
	var forms []string
	for shift := range 3 {
		encoded := encoding.WithPadding(base64.NoPadding).EncodeToString([]byte(strings.Repeat("\x00", shift) + value))
		first := (shift*8 + 5) / 6
		last := (shift + len(value)) * 8 / 6
		forms = append(forms, encoded[first:last])
	}
	return forms
}

// quoted returns s as it is inside of a JSON string, with what HTML has a use for escaped.
func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return s // strings always can be
	}
	return string(b[1 : len(b)-1])
}

// quotedPlain returns s as it is inside of a JSON string, with no more escaped than must be.
func quotedPlain(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return s // strings always can be
	}
	text := strings.TrimSuffix(b.String(), "\n")
	return text[1 : len(text)-1]
}

// lowerEscapes writes percent-encoded characters in lower case.
func lowerEscapes(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:i+3], strings.ToLower(s[i+1:i+3]))
			i += 2
		}
	}
	return string(b)
}

// unique leaves out what is there already.
func unique(pairs []substitute.Pair) []substitute.Pair {
	seen := make(map[string]bool)
	var kept []substitute.Pair
	for _, p := range pairs {
		if !seen[p.Old] {
			seen[p.Old] = true
			kept = append(kept, p)
		}
	}
	return kept
}
