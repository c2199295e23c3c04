package dns

import (
	"bufio"
	"bytes"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Config is what a resolv.conf says.
type Config struct {
	Servers []netip.AddrPort
	Search  []string
}

// Bounds of a resolv.conf.
const (
	maxConfig  = 64 << 10
	maxServers = 8
	maxSearch  = 32
)

// ReadResolvConf reads a resolv.conf(5). Lines that it can't understand are left out, as
// resolvers do. Without a server there, it is the host's own.
func ReadResolvConf(r io.Reader) Config {
	var c Config
	lines := bufio.NewScanner(io.LimitReader(r, maxConfig))
	for lines.Scan() {
		line, _, _ := strings.Cut(lines.Text(), "#")
		line, _, _ = strings.Cut(line, ";")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "nameserver":
			if addr, err := netip.ParseAddr(fields[1]); err == nil && len(c.Servers) < maxServers {
				c.Servers = append(c.Servers, netip.AddrPortFrom(addr.Unmap(), 53))
			}
		case "domain", "search": // the last line counts
			c.Search = append([]string(nil), fields[1:min(len(fields), maxSearch+1)]...)
		}
	}
	if len(c.Servers) == 0 {
		c.Servers = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:53")}
	}
	return c
}

// Source is a resolv.conf that may change. It is looked at when it is used, at most once
// a second. If it can't be read any more, what it said last stays.
type Source struct {
	path string
	now  func() time.Time

	mu      sync.Mutex
	config  Config
	checked time.Time
	version version
}

// version tells a file from what it was before.
type version struct {
	modified time.Time
	size     int64
	inode    uint64
}

// NewSource reads the file at path for the first time. A file that does not exist says
// nothing, as in resolv.conf(5). now may be nil.
func NewSource(path string, now func() time.Time) (*Source, error) {
	if now == nil {
		now = time.Now
	}
	s := &Source{path: path, now: now, config: ReadResolvConf(bytes.NewReader(nil)), checked: now()}
	if err := s.read(); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	return s, nil
}

// Config returns what the file says.
func (s *Source) Config() Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.now(); now.Sub(s.checked) >= time.Second || now.Before(s.checked) {
		s.checked = now
		if info, err := os.Stat(s.path); err == nil && versionOf(info) != s.version {
			// An error leaves the configuration as it was: a jailed process can't read.
			_ = s.read()
		}
	}
	return s.config
}

// Servers returns the servers in the file, as Options.Resolvers wants.
func (s *Source) Servers() []netip.AddrPort { return s.Config().Servers }

// Search returns the search domains in the file, as Options.Search wants.
func (s *Source) Search() []string { return s.Config().Search }

func (s *Source) read() error {
	file, err := os.Open(s.path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	b, err := io.ReadAll(io.LimitReader(file, maxConfig))
	if err != nil {
		return err
	}
	s.config, s.version = ReadResolvConf(bytes.NewReader(b)), versionOf(info)
	return nil
}

func versionOf(info fs.FileInfo) version {
	v := version{modified: info.ModTime(), size: info.Size()}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		v.inode = stat.Ino
	}
	return v
}
