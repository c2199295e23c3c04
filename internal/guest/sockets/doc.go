// Package sockets serves boxlite.v1.Sockets: sockets in the container, for
// programs on the host.
//
// The container shares the machine's network namespace with the agent, so a TCP or
// UDP socket of the agent is one of the container: it reaches what a program in the
// container reaches, and no more. Unix sockets are found in the container's file
// system, from which no link leads out.
package sockets
