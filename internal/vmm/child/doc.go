// Package child runs the programs that run virtual machines: in a jail, tied to this
// process's life, with the files that they are given and the end of their standard error
// kept; and greets the guests in them. Every engine uses it.
package child
