package guest

import (
	"bytes"
	"fmt"
	"strings"

	boxlitev1 "github.com/boxlite-go/boxlite/internal/protocol/boxlite/v1"
)

// hostsFile returns what /etc/hosts says.
func hostsFile(hostname string, n *boxlitev1.NetworkFiles) []byte {
	var b bytes.Buffer
	b.WriteString("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")
	own := n.GetAddresses()
	if len(own) == 0 {
		own = []string{"127.0.1.1"} // a program may want the hostname to have an address
	}
	for _, address := range own {
		if hostname != "" {
			fmt.Fprintf(&b, "%s\t%s\n", word(address), word(hostname))
		}
	}
	for _, entry := range n.GetHosts() {
		fmt.Fprintf(&b, "%s\t%s\n", word(entry.GetAddress()), words(entry.GetNames()))
	}
	return b.Bytes()
}

// resolvConf returns what /etc/resolv.conf says.
func resolvConf(n *boxlitev1.NetworkFiles) []byte {
	if n == nil {
		return []byte("# This box has no network.\n")
	}
	var b bytes.Buffer
	for _, server := range n.GetDns() {
		fmt.Fprintf(&b, "nameserver %s\n", word(server))
	}
	if len(n.GetSearch()) > 0 {
		fmt.Fprintf(&b, "search %s\n", words(n.GetSearch()))
	}
	return b.Bytes()
}

// word returns a text as one field of a line, whatever is in it.
func word(s string) string { return strings.Join(strings.Fields(s), "") }

func words(list []string) string {
	fields := make([]string, len(list))
	for i, s := range list {
		fields[i] = word(s)
	}
	return strings.Join(fields, " ")
}
