//go:build linux

package network

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/boxlite-go/boxlite"
)

const (
	secretValue = "sk-live-7c1fd0e2a94b4f"
	freshValue  = "rotated-0a61f9d5538b2c"
	placeholder = "<BOXLITE_SECRET:API_KEY>"
)

// secretBox has a secret for allowed.example, one for an odd port, and one that is read
// at each start.
func secretBox(t *testing.T, rt *boxlite.Runtime) *boxlite.Box {
	t.Helper()
	t.Setenv("BOXLITE_TEST_FRESH", freshValue)
	box := newBox(t, rt, boxlite.BoxSpec{
		Network: boxlite.Network{Allow: []string{"*.wild.example", "v4.allowed.example"}, CACerts: []string{world.ca.pem}},
		Secrets: []boxlite.Secret{
			{Name: "API_KEY", Value: secretValue, Hosts: []string{"allowed.example"}},
			{Name: "ODD", Value: "odd-" + secretValue, Hosts: []string{"v4.allowed.example:8443"}},
			{Name: "fresh", From: "env:BOXLITE_TEST_FRESH", Hosts: []string{"*.wild.example"}},
		},
	})
	install(t, box, "hostile")
	return box
}

// last returns the last request that reached a server.
func (l *requestLog) last(t *testing.T) request {
	t.Helper()
	all := l.list()
	if len(all) == 0 {
		t.Fatal("no request reached a server")
	}
	return all[len(all)-1]
}

func TestSecrets(t *testing.T) {
	rt := openRuntime(t)
	box := secretBox(t, rt)

	t.Run("Where it goes", func(t *testing.T) {
		for _, version := range []string{"-1", "-2: x"} {
			world.log.reset()
			basic := base64.StdEncoding.EncodeToString([]byte("user:" + placeholder))
			got := reach(t, box, true, "get", "https://allowed.example/echo?key=%3CBOXLITE_SECRET:API_KEY%3E", version,
				"X-Api-Key: "+placeholder, "Authorization: Basic "+basic, "-d", `{"key":"`+placeholder+`"}`)
			r := world.log.last(t)
			wantBasic := base64.StdEncoding.EncodeToString([]byte("user:" + secretValue))
			if r.Header.Get("X-Api-Key") != secretValue || r.Header.Get("Authorization") != "Basic "+wantBasic ||
				r.Body != `{"key":"`+secretValue+`"}` || !strings.Contains(r.Path, secretValue) {
				t.Errorf("the server got %+v", r)
			}
			if strings.Contains(got, secretValue) || strings.Contains(got, wantBasic) || strings.Count(got, placeholder) < 3 {
				t.Errorf("the box got back %q", got)
			}
		}
	})
	t.Run("In a long body", func(t *testing.T) {
		world.log.reset()
		script := `{ head -c 3000000 /dev/zero | tr '\0' x; printf '%s' "$BOXLITE_SECRET_API_KEY"; } > /tmp/body; hostile get https://allowed.example/length -d "$(tail -c 100000 /tmp/body)"`
		run(t, box, script)
		if r := world.log.last(t); !strings.HasSuffix(r.Body, "xxx"+secretValue) {
			t.Errorf("%d bytes came, and end in %q", len(r.Body), r.Body[max(0, len(r.Body)-60):])
		}
	})
	t.Run("WebSocket", func(t *testing.T) {
		world.log.reset()
		got := reach(t, box, true, "websocket", "wss", "allowed.example", "over "+placeholder+" and out")
		if got != "over "+placeholder+" and out" {
			t.Errorf("the box got back %q", got)
		}
		if r := world.log.last(t); r.Body != "over "+secretValue+" and out" {
			t.Errorf("the server got %q", r.Body)
		}
	})
	t.Run("Other hosts", func(t *testing.T) {
		for _, url := range []string{"https://a.wild.example/", "https://v4.allowed.example/", "http://v4.allowed.example/", "https://v4.allowed.example:8443/"} {
			world.log.reset()
			reach(t, box, true, "get", url, "X-Api-Key: "+placeholder)
			if r := world.log.last(t); r.Header.Get("X-Api-Key") != placeholder {
				t.Errorf("%s got %v", url, r.Header)
			}
		}
		// Without a rule, only the secret's port is open.
		reach(t, box, false, "get", "http://allowed.example/", "X-Api-Key: "+placeholder)
		world.log.reset()
		reach(t, box, true, "get", "https://v4.allowed.example:8443/", "X-Odd: <BOXLITE_SECRET:ODD>")
		if r := world.log.last(t); r.Header.Get("X-Odd") != "odd-"+secretValue {
			t.Errorf("the odd port got %v", r.Header)
		}
	})
	t.Run("Another host inside", func(t *testing.T) {
		world.log.reset()
		for _, a := range try(t, box, "inspected") { // to v4.allowed.example, of which 8443 is looked into
			if a.Done && strings.Contains(a.Name, ":8443") {
				t.Errorf("%s: %s", a.Name, a.Detail)
			}
		}
	})
	t.Run("In the box", func(t *testing.T) {
		got := run(t, box, `env; cat /proc/*/environ /proc/*/cmdline 2>/dev/null; grep -rl '`+secretValue[:12]+`' / --exclude-dir=proc --exclude-dir=sys 2>/dev/null | grep -v '^/proc\|^/sys' || true`)
		if strings.Contains(got, secretValue) || strings.Contains(got, freshValue) {
			t.Errorf("the box knows it: %s", got)
		}
		if !strings.Contains(got, "BOXLITE_SECRET_API_KEY="+placeholder) || !strings.Contains(got, "BOXLITE_SECRET_FRESH=") {
			t.Errorf("placeholders are missing: %s", got)
		}
	})
	t.Run("On the host", func(t *testing.T) { mustHide(t, rt.Home()) })
	t.Run("Another start", func(t *testing.T) {
		t.Setenv("BOXLITE_TEST_FRESH", "newest-"+freshValue)
		if err := box.Restart(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		world.log.reset()
		reach(t, box, true, "get", "https://b.wild.example/", "X-Fresh: <BOXLITE_SECRET:fresh>")
		if r := world.log.last(t); r.Header.Get("X-Fresh") != "newest-"+freshValue {
			t.Errorf("the server got %v", r.Header)
		}
		reach(t, box, true, "get", "https://allowed.example/", "X-Api-Key: "+placeholder)
		if r := world.log.last(t); r.Header.Get("X-Api-Key") != secretValue {
			t.Errorf("the server got %v", r.Header)
		}
		mustHide(t, rt.Home())
	})
	t.Run("Told", func(t *testing.T) {
		info, err := box.Info(t.Context())
		if err != nil || len(info.Secrets) != 3 || strings.Contains(fmt.Sprintf("%+v", info), secretValue) {
			t.Errorf("got %+v, %v", info.Secrets, err)
		}
	})
}

// mustHide wants the values to be nowhere in the home, nor in what processes show.
func mustHide(t *testing.T, home string) {
	t.Helper()
	values := [][]byte{[]byte(secretValue), []byte(freshValue), []byte(base64.StdEncoding.EncodeToString([]byte(secretValue))[:24])}
	check := func(path string, content []byte) {
		for _, v := range values {
			if bytes.Contains(content, v) {
				t.Errorf("%s holds a secret", path)
			}
		}
	}
	err := filepath.WalkDir(home, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		if info, err := e.Info(); err == nil && info.Size() > 1<<30 {
			return nil // the disk is sparse: what the box has, it has
		}
		content, err := os.ReadFile(path)
		check(path, content)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range processes {
		for _, name := range []string{"cmdline", "environ"} {
			content, _ := os.ReadFile(filepath.Join(p, name))
			check(filepath.Join(p, name), content)
		}
	}
	if info, err := os.Stat(filepath.Join(home, "secret.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key: %v, %v", info, err)
	}
}

// TestUntrustedServer: without its authority, no secret goes to a server.
func TestUntrustedServer(t *testing.T) {
	rt := openRuntime(t)
	box := newBox(t, rt, boxlite.BoxSpec{Secrets: []boxlite.Secret{{Name: "API_KEY", Value: secretValue, Hosts: []string{"allowed.example"}}}})
	install(t, box, "hostile")
	world.log.reset()
	got := reach(t, box, false, "get", "https://allowed.example/", "X-Api-Key: "+placeholder)
	if strings.Contains(got, secretValue) {
		t.Errorf("the error tells the secret: %q", got)
	}
	if all := world.log.list(); len(all) > 0 {
		t.Errorf("the server got %+v", all)
	}
}
