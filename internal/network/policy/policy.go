package policy

import "net/netip"

// Config is a policy as it is written down.
type Config struct {
	// Allow and Deny are rules; see the package comment.
	Allow []string `json:"allow,omitempty"`
	Deny  []string `json:"deny,omitempty"`
	// AllowHost are TCP and UDP ports of the host itself that may be reached, by the
	// name host.boxlite.internal or any address of the host.
	AllowHost []uint16 `json:"allowHost,omitempty"`
}

// Protocol is what a flow is made of.
type Protocol string

// The protocols. There are no others: what else a guest sends is dropped.
const (
	TCP  Protocol = "tcp"
	UDP  Protocol = "udp"
	ICMP Protocol = "icmp" // echo requests
)

// Question is what a decision is asked about.
type Question struct {
	// Kind says which of the other fields mean something.
	Kind Kind
	// Protocol and Addr are a flow's, and where it goes. ICMP has port 0.
	Protocol Protocol
	Addr     netip.AddrPort
	// Names are those for which our DNS has told the guest the flow's address, as far
	// as that still counts.
	Names []string
	// Host means that the address is one of the host's own.
	Host bool
	// Name is what is asked for, or was seen in the flow: any spelling will do.
	Name string
}

// Kind is the kind of a question.
type Kind int

const (
	// Flow asks whether a flow may begin: Protocol, Addr, Names, Host.
	Flow Kind = iota
	// Seen asks whether a flow may go on in which Name was seen, as SNI, Host or
	// :authority: all of the above, and Name. An empty Name means that there was none,
	// or that it was encrypted.
	Seen
	// Resolve asks whether Name may be looked up.
	Resolve
	// Answer asks whether the guest may be told the address Addr.Addr() for Name.
	Answer
)

// Verdict is what a decision comes to.
type Verdict int

const (
	// Deny refuses. It is the zero value.
	Deny Verdict = iota
	// Inspect lets a flow begin; what it says decides. Only Flow gives it.
	Inspect
	// Allow lets all of it pass.
	Allow
)

// Decision is an answer.
type Decision struct {
	Verdict Verdict
	// Rule is the rule that decided, as it was written; or, where none did, in words
	// and in parentheses: "(not on the allow list)", "(cloud metadata)", …
	Rule string
}
