// Package proxy is a stand-in.
package proxy

// Secret is a stand-in.
type Secret struct {
	Name        string   `json:"name"`
	Value       string   `json:"value"`
	Placeholder string   `json:"placeholder"`
	Hosts       []string `json:"hosts"`
}

// Validate is a stand-in.
func (s Secret) Validate() error { return nil }
