// Package vsock reaches the host by the machine's socket device (AF_VSOCK): streams
// between a guest and its host, for which no network is needed.
//
// Addresses are numbers: a context ID (CID) names the machine, and a port the socket.
// They are not namespaced: the kernel also lets processes of the same machine connect
// to each other, which is why a [Listener] takes connections from one CID only. (That a
// container can't make such sockets at all is up to its system call filter.)
package vsock
