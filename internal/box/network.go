package box

// NetworkMode says whether a box has a network.
type NetworkMode string

// The modes.
const (
	// NetworkEnabled gives the box a network card. It is the default.
	NetworkEnabled NetworkMode = "enabled"
	// NetworkNone gives it none: nothing leaves the machine but through its portal.
	NetworkNone NetworkMode = "none"
)

// Network is what a box may reach, as it was asked for.
type Network struct {
	Mode           NetworkMode `json:"mode,omitempty"`
	Allow          []string    `json:"allow,omitempty"`
	Deny           []string    `json:"deny,omitempty"`
	AllowHost      []int       `json:"allowHost,omitempty"`
	DNS            []string    `json:"dns,omitempty"`
	DNSSearch      []string    `json:"dnsSearch,omitempty"`
	InspectTLS     bool        `json:"inspectTLS,omitempty"`
	CACerts        []string    `json:"caCerts,omitempty"`
	Proxy          string      `json:"proxy,omitempty"`
	Join           []string    `json:"join,omitempty"`
	UpKbps         int         `json:"upKbps,omitempty"`
	DownKbps       int         `json:"downKbps,omitempty"`
	MaxConnections int         `json:"maxConnections,omitempty"`
	Capture        string      `json:"capture,omitempty"`
}

// Enabled reports whether the box has a network card.
func (n *Network) Enabled() bool { return n.Mode != NetworkNone }

// Secret is a secret of a box, as it is kept: the value is sealed, or read at each
// start from where From says.
type Secret struct {
	Name        string   `json:"name"`
	Hosts       []string `json:"hosts"`
	Placeholder string   `json:"placeholder"`
	Sealed      string   `json:"sealed,omitempty"`
	From        string   `json:"from,omitempty"`
}
