package substitute

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"unicode/utf8"
)

// shortest is the length of the shortest encoding to look for. Shorter strings are in
// everything.
const shortest = 4

// Encodings returns the forms in which a value may come back: as it is, as base64 in both
// alphabets with and without padding, percent-encoded as in a query and as in a path, and as
// in a JSON string with and without HTML escaped. None is there twice or shorter than 4 bytes,
// so there may be none.
func Encodings(value string) []string {
	forms := []string{value, url.QueryEscape(value), url.PathEscape(value)}
	for _, e := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		forms = append(forms, e.EncodeToString([]byte(value)))
	}
	// JSON has no form for other bytes: the encoder would put another character for them.
	if utf8.ValidString(value) {
		forms = append(forms, inJSON(value, true), inJSON(value, false))
	}
	var unique []string
	for _, f := range forms {
		if len(f) >= shortest && !slices.Contains(unique, f) {
			unique = append(unique, f)
		}
	}
	return unique
}

// inJSON returns what is between the quotes.
func inJSON(value string, html bool) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(html)
	if err := e.Encode(value); err != nil {
		return value // can't be, for a string
	}
	quoted := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	return string(quoted[1 : len(quoted)-1])
}
