//go:build linux

// Command boxlite-guest is the agent inside a box: process 1 of its virtual
// machine. It is built into the boxlite package and never run by hand.
package main

import "github.com/boxlite-go/boxlite/internal/guest"

func main() { guest.Main() }
