//go:build linux

package network

import (
	"strings"
	"testing"

	"github.com/boxlite-go/boxlite"
)

// TestShared has boxes in one network, in another, in both, and in none.
func TestShared(t *testing.T) {
	rt := openRuntime(t)
	make := func(name string, n boxlite.Network) *boxlite.Box {
		box := newBox(t, rt, boxlite.BoxSpec{Name: name, Network: n})
		install(t, box, "hostile")
		return box
	}
	db := make("db", boxlite.Network{Join: []string{"back"}, Allow: []string{"192.0.2.77"}})
	web := make("web", boxlite.Network{Join: []string{"back", "front"}, Allow: []string{"allowed.example:80"}})
	client := make("client", boxlite.Network{Join: []string{"front"}})
	alone := make("alone", boxlite.Network{})
	serveInBox(t, db, "8000")
	serveInBox(t, web, "8000")
	world.reset(t)

	for _, c := range []struct {
		box  *boxlite.Box
		to   string
		want bool
	}{
		{web, "db", true},
		{web, "DB.back", true},
		{db, "web", true},
		{client, "web", true},
		{client, "web.front", true},
		{client, "db", false},
		{client, "db.back", false},
		{alone, "db", false},
		{alone, "web", false},
		{alone, "192.168.127.2", false},
	} {
		networks := []string{"tcp", "udp"}
		if !c.want {
			networks = networks[:1] // where nothing comes, UDP waits
		}
		for _, network := range networks {
			got := try(t, c.box, "echo", network, c.to+":8000", "data\n")[0]
			if got.Done != c.want {
				t.Errorf("%s to %s over %s: %+v", c.box.Name(), c.to, network, got)
			}
		}
	}
	// The rules for the outside hold as before.
	reach(t, web, true, "get", "http://allowed.example/")
	reach(t, web, false, "get", "http://other.example/")
	reach(t, db, false, "get", "http://allowed.example/")
	for _, q := range world.dns.questions() {
		if strings.HasPrefix(q.name, "db") && q.name != "db.corp.example" && q.name != "db.back.corp.example" && q.name != "db" && q.name != "db.back" {
			t.Errorf("the outside was asked for %s", q)
		}
	}

	// A box that is gone is not found any more, and one that starts is.
	if err := db.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	reach(t, web, false, "echo", "tcp", "db:8000", "data")
	if err := db.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	serveInBox(t, db, "8000")
	reach(t, web, true, "echo", "tcp", "db:8000", "data")
}
