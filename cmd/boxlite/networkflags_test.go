package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/boxlite-go/boxlite"
)

func TestParsePort(t *testing.T) {
	for text, want := range map[string]boxlite.Port{
		"80":                        {GuestPort: 80},
		"8080:80":                   {HostPort: 8080, GuestPort: 80},
		"0:80":                      {GuestPort: 80},
		":80":                       {GuestPort: 80},
		"8080:80/tcp":               {HostPort: 8080, GuestPort: 80, Protocol: "tcp"},
		"53:53/UDP":                 {HostPort: 53, GuestPort: 53, Protocol: "udp"},
		"0.0.0.0:8080:80":           {HostIP: "0.0.0.0", HostPort: 8080, GuestPort: 80},
		"127.0.0.1::80":             {HostIP: "127.0.0.1", GuestPort: 80},
		"[::1]:8080:80":             {HostIP: "::1", HostPort: 8080, GuestPort: 80},
		"[2001:db8::1]:8080:80/udp": {HostIP: "2001:db8::1", HostPort: 8080, GuestPort: 80, Protocol: "udp"},
	} {
		if got, err := parsePort(text); got != want || err != nil {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "x", "80:", "0", "65536", "65536:80", "-1:80", "80/", "::80", "8080:80:90:x", "80-90:80-90"} {
		if got, err := parsePort(text); err == nil && text != "80/" {
			t.Errorf("%q is %+v", text, got)
		}
	}
}

func TestParseSecret(t *testing.T) {
	t.Setenv("KEY", "from the environment")
	path := filepath.Join(t.TempDir(), "value")
	if err := os.WriteFile(path, []byte("from a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]boxlite.Secret{
		"KEY,host=a.example":                      {Name: "KEY", From: "env:KEY", Hosts: []string{"a.example"}},
		"k,host=a.example,host=b.example,env=KEY": {Name: "k", From: "env:KEY", Hosts: []string{"a.example", "b.example"}},
		"k,file=" + path + ",host=a.example":      {Name: "k", From: "file:" + path, Hosts: []string{"a.example"}},
		"k,env=KEY,keep,host=a.example":           {Name: "k", Value: "from the environment", Hosts: []string{"a.example"}},
		"k,keep,file=" + path + ",host=a.example": {Name: "k", Value: "from a file", Hosts: []string{"a.example"}},
		"KEY,host=a.example,placeholder=PUT-KEY":  {Name: "KEY", From: "env:KEY", Hosts: []string{"a.example"}, Placeholder: "PUT-KEY"},
	} {
		got, err := parseSecret(text)
		if err != nil || got.Name != want.Name || got.Value != want.Value || got.From != want.From ||
			strings.Join(got.Hosts, " ") != strings.Join(want.Hosts, " ") || got.Placeholder != want.Placeholder {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"KEY=hunter2,host=a.example", "k,vault=x", "k,keep,env=NO_SUCH_VARIABLE"} {
		_, err := parseSecret(text)
		if err == nil {
			t.Errorf("%q is a secret", text)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: the value is in the error: %v", text, err)
		}
	}
}

func TestForgetRules(t *testing.T) {
	p := boxlite.NetworkPolicy{Allow: []string{"a.example", "b.example"}, Deny: []string{"c.example"}}
	if err := forgetRules(&p, []string{"a.example", "c.example"}); err != nil || len(p.Allow) != 1 || len(p.Deny) != 0 {
		t.Errorf("%+v, %v", p, err)
	}
	if err := forgetRules(&p, []string{"d.example"}); err == nil {
		t.Error("a rule that is not there was taken back")
	}
	if err := forgetRules(&p, []string{"b.example"}); err == nil {
		t.Error("the box can reach everything now")
	}
}
