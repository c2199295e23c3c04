package network

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/boxlite-go/boxlite/internal/network/egress"
)

// IPv6 reports whether the guest should have a way to the IPv6 internet.
func (n *Network) IPv6() bool { return egress.HasIPv6() }

// Search returns the domains in which the guest looks up short names.
func (n *Network) Search() []string { return n.lease.Search }

// Trusted returns the certificate authorities, PEM, that the guest's programs should
// trust beside their own: those that were given, and the box's own if it is used.
func (n *Network) Trusted() []string {
	var trusted []string
	if n.cfg.CACerts != "" {
		trusted = append(trusted, n.cfg.CACerts)
	}
	if n.replacesServers() {
		trusted = append(trusted, string(n.inspector.CA()))
	}
	return trusted
}

// Files are those of the host that are read while the network lives: files, or folders
// and what is in them.
func (n *Network) Files() []string {
	files := []string{resolvConf}
	// Where it is a link, what it leads to is replaced by a new file when it changes.
	if target, err := filepath.EvalSymlinks(resolvConf); err == nil && target != resolvConf && strings.HasPrefix(target, "/run/") {
		if dir := filepath.Dir(target); dir != "/run" {
			files = append(files, dir)
		}
	}
	if _, err := os.Stat("/proc/sys/net/core/somaxconn"); err == nil {
		files = append(files, "/proc/sys/net/core/somaxconn")
	}
	if n.peers != nil {
		files = append(files, n.peers.Folders()...)
	}
	return files
}
