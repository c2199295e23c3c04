// Package kernel holds the Linux kernel that every box boots.
//
// The kernel is a program of its own under the GNU General Public License,
// version 2 (COPYING); BoxLite carries it as data and links none of it.
// README.md tells where its source is and how it is built.
package kernel
