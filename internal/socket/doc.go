// Package socket is the host's end of sockets in a box, which the agent opens:
// connections and listeners as those of package net, deadlines and half-closing
// included. They end with the box.
package socket
