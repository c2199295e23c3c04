// Command hostile tries to get out of a box. It is for tests, and harmless outside.
//
// With the name of a group it makes all attempts of the group, at once; for each it
// prints a line of JSON that tells whether it got out. "hostile get URL", "echo" and
// "resolve" do one ordinary thing, and print what came of it in the same way.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"
)

// Addresses in the Internet of the tests; see world_test.go.
const (
	allowedIP = "93.184.216.34"
	allowed6  = "2606:2800::34"
	evilIP    = "93.184.216.80"
	evil6     = "2606:2800::80"
	publicDNS = "8.8.8.8"
	gateway   = "192.168.127.1"
	guest     = "192.168.127.2"
	alias     = "192.168.127.254"
	hostIP    = "192.0.2.1"
	ownIP     = "45.33.32.1"
	hostPort  = "8099"
)

// patience is how long an attempt may take that gets no answer at all.
const patience = 4 * time.Second

// attempt is one way out. It returns what it got, or why it got nothing.
type attempt struct {
	name string
	try  func(context.Context) (string, error)
}

type result struct {
	Name   string `json:"name"`
	Done   bool   `json:"done"`
	Detail string `json:"detail"`
}

var groups = map[string]func() []attempt{
	"flows": flows, "names": names, "http": httpTricks, "tls": tlsTricks, "inspected": inspected,
	"special": special, "host": hostServices, "gateway": gatewayServices, "packets": packets, "fine": fine,
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: hostile GROUP, or hostile get URL")
		os.Exit(2)
	}
	if group, ok := groups[os.Args[1]]; ok {
		all(group())
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	print(run(ctx, attempt{os.Args[1], func(ctx context.Context) (string, error) { return one(ctx, os.Args[1:]) }}))
}

// all makes attempts side by side.
func all(attempts []attempt) {
	results := make([]result, len(attempts))
	room := make(chan struct{}, 16)
	var group sync.WaitGroup
	for i, a := range attempts {
		group.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			results[i] = run(ctx, a)
		})
	}
	group.Wait()
	for _, r := range results {
		print(r)
	}
}

func run(ctx context.Context, a attempt) result {
	detail, err := a.try(ctx)
	if err != nil {
		return result{a.name, false, fmt.Sprintf("%.300s; %v", detail, err)}
	}
	return result{a.name, true, fmt.Sprintf("%.4000s", detail)}
}

func print(r result) { _ = json.NewEncoder(os.Stdout).Encode(r) }
