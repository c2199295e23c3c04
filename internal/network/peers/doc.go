// Package peers connects boxes that have joined the same shared network.
//
// Boxes have no link in common: each shim serves its own guest, and all guests have
// the same address. So what a guest sends to another box goes from shim to shim, one
// TCP connection over the host's loopback for each flow, and enters the other guest
// from there. Nothing but TCP and UDP gets through, and no frames.
//
// # Who is there
//
// A shared network is a folder of the home, networks/NAME, that only its owner can
// read. It holds a key, and a file for each box in it, BOX.json, which tells on which
// port of 127.0.0.1 its shim listens. The file may be of a shim that was killed: what
// listens at that port now does not know the key, or is not that box.
//
// A guest finds others by name; see [Peers.Lookup]. Each gets an address of
// 198.18.0.0/15 (RFC 2544), which is in use on no network, for as long as the guest
// runs.
//
// # The way in
//
// Each side proves to the other that it knows the network's key (HMAC-SHA-256 over
// fresh random numbers of both, with a word that tells the sides apart), and who it
// is: other programs of the host can neither get into a box this way, nor take its
// place. What passes after that is not encrypted: it does not leave the host's kernel.
package peers
