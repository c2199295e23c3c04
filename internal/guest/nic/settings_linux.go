package nic

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// setting is one of the kernel's, a file below /proc/sys/net.
type setting struct {
	name, value string
	// optional says that a kernel without it, or that keeps it, is as good.
	optional bool
}

// settings are those of the whole machine. With packets of 64 KiB, a connection
// needs buffers of several times that to have more than one under way; the kernel's
// own are made for packets of 1,500 bytes.
var settings = []setting{
	{"ipv4/tcp_rmem", "4096 1048576 6291456", false},
	{"ipv4/tcp_wmem", "4096 524288 4194304", false},
	{"core/rmem_max", "6291456", true}, // of the first network namespace only
	{"core/wmem_max", "4194304", true},
	// The link is memory. It does not get slower while nothing is sent.
	{"ipv4/tcp_slow_start_after_idle", "0", false},
	// As Docker has it: everybody may ping, and listen on any port.
	{"ipv4/ping_group_range", "0 2147483647", false},
	{"ipv4/ip_unprivileged_port_start", "0", false},
}

// interfaceSettings are those of one interface. What there is to know of the link
// comes from the host; nothing that is said on the link may change it.
func interfaceSettings(name string, ipv6 bool) []setting {
	v4, v6 := filepath.Join("ipv4/conf", name), filepath.Join("ipv6/conf", name)
	s := []setting{
		{v4 + "/accept_redirects", "0", false},
		{v4 + "/send_redirects", "0", false},
		// Without IPv6, its settings may be missing as well.
		{v6 + "/accept_ra", "0", !ipv6},
		{v6 + "/autoconf", "0", !ipv6},
		{v6 + "/accept_redirects", "0", !ipv6},
		{v6 + "/router_solicitations", "0", !ipv6},
		{v6 + "/accept_dad", "0", !ipv6},
	}
	if !ipv6 {
		s = append(s, setting{v6 + "/disable_ipv6", "1", true})
	}
	return s
}

func set(all []setting) error {
	for _, s := range all {
		err := os.WriteFile(filepath.Join("/proc/sys/net", s.name), []byte(s.value), 0)
		if s.optional && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)) {
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}
