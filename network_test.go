package boxlite

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestNetworkIsChecked(t *testing.T) {
	secret := Secret{Name: "key", Value: "hunter2-hunter2", Hosts: []string{"api.example"}}
	for name, s := range map[string]BoxSpec{
		"mode":             {Network: Network{Mode: "bridge"}},
		"rule":             {Network: Network{Allow: []string{"https://example.com/"}}},
		"deny rule":        {Network: Network{Deny: []string{"a*.example"}}},
		"host port":        {Network: Network{AllowHost: []int{70000}}},
		"server":           {Network: Network{DNS: []string{"dns.example"}}},
		"search domain":    {Network: Network{DNSSearch: []string{"a b"}}},
		"certificate":      {Network: Network{CACerts: []string{"no certificate"}}},
		"proxy":            {Network: Network{Proxy: "proxy.example:8080"}},
		"proxy's password": {Network: Network{Proxy: "http://me:hunter2@proxy.example:8080"}},
		"rate":             {Network: Network{UpKbps: -1}},
		"connections":      {Network: Network{MaxConnections: 1 << 20}},
		"shared network":   {Name: "box", Network: Network{Join: []string{"../x"}}},
		"join by no name":  {Network: Network{Join: []string{"backend"}}},
		"capture":          {Network: Network{Capture: "here.pcap"}},

		"port and no network":   {Network: Network{Mode: NetworkNone}, Ports: []Port{{GuestPort: 80}}},
		"rule and no network":   {Network: Network{Mode: NetworkNone, Allow: []string{"example.com"}}},
		"secret and no network": {Network: Network{Mode: NetworkNone}, Secrets: []Secret{secret}},

		"port 0":           {Ports: []Port{{HostPort: 80}}},
		"high port":        {Ports: []Port{{GuestPort: 65536}}},
		"protocol":         {Ports: []Port{{GuestPort: 80, Protocol: "sctp"}}},
		"port's address":   {Ports: []Port{{GuestPort: 80, HostIP: "localhost"}}},
		"port twice":       {Ports: []Port{{GuestPort: 80, HostPort: 8080}, {GuestPort: 81, HostPort: 8080}}},
		"secret's name":    {Secrets: []Secret{{Name: "a b", Value: "hunter2-hunter2", Hosts: []string{"api.example"}}}},
		"no value":         {Secrets: []Secret{{Name: "key", Hosts: []string{"api.example"}}}},
		"two values":       {Secrets: []Secret{{Name: "key", Value: "hunter2-hunter2", From: "env:X", Hosts: []string{"api.example"}}}},
		"no host":          {Secrets: []Secret{{Name: "key", Value: "hunter2-hunter2"}}},
		"secret twice":     {Secrets: []Secret{secret, secret}},
		"source":           {Secrets: []Secret{{Name: "key", From: "vault:x", Hosts: []string{"api.example"}}}},
		"relative file":    {Secrets: []Secret{{Name: "key", From: "file:x", Hosts: []string{"api.example"}}}},
		"secret's host":    {Secrets: []Secret{{Name: "key", Value: "hunter2-hunter2", Hosts: []string{"https://api.example/"}}}},
		"a short value":    {Secrets: []Secret{{Name: "key", Value: "abc", Hosts: []string{"api.example"}}}},
		"every host there": {Secrets: []Secret{{Name: "key", Value: "hunter2-hunter2", Hosts: []string{"*"}}}},
	} {
		err := s.Validate()
		if !errors.Is(err, ErrInvalidArgument) || HintOf(err) == "" {
			t.Errorf("%s: %v, hint %q", name, err, HintOf(err))
		}
		if err != nil && strings.Contains(err.Error()+HintOf(err), "hunter2") {
			t.Errorf("%s: the error shows what is secret: %v", name, err)
		}
	}
	good := BoxSpec{
		Name: "web",
		Network: Network{
			Allow: []string{"example.com", "*.example.com:443", "192.0.2.0/24", "[2001:db8::1]:443"}, Deny: []string{"bad.example.com"},
			AllowHost: []int{5432}, DNS: []string{"192.0.2.53", "[2001:db8::53]:5353"}, DNSSearch: []string{"corp.example"},
			Proxy: "socks5://127.0.0.1:1080", Join: []string{"backend"}, UpKbps: 1000, MaxConnections: 10, Capture: "/tmp/x.pcap",
		},
		Ports:   []Port{{GuestPort: 80}, {GuestPort: 80}, {HostIP: "::1", HostPort: 53, GuestPort: 53, Protocol: "udp"}},
		Secrets: []Secret{secret, {Name: "other", From: "env:OTHER", Hosts: []string{"*.api.example:8443"}}},
	}
	if err := good.Validate(); err != nil {
		t.Error(err, HintOf(err))
	}
}

// TestSecretsAreNotShown: no way of printing a secret shows its value.
func TestSecretsAreNotShown(t *testing.T) {
	s := Secret{Name: "key", Value: "hunter2-hunter2", Hosts: []string{"api.example"}}
	text, err := json.Marshal(BoxSpec{Secrets: []Secret{s}})
	if err != nil {
		t.Fatal(err)
	}
	shown := string(text) + fmt.Sprintf("%v %+v %#v %s %q", s, s, s, s, s) + fmt.Sprintf("%v %+v %#v", []Secret{s}, &s, BoxSpec{Secrets: []Secret{s}})
	if strings.Contains(shown, "hunter2") || !strings.Contains(shown, "api.example") {
		t.Error(shown)
	}
}

func TestPortString(t *testing.T) {
	for want, p := range map[string]Port{
		"127.0.0.1:0:80/tcp": {GuestPort: 80},
		"[::1]:8080:53/udp":  {HostIP: "::1", HostPort: 8080, GuestPort: 53, Protocol: "udp"},
	} {
		if got := p.String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
