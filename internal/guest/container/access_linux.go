package container

import "golang.org/x/sys/unix"

// Open opens a file of the container, as its own processes see it. No link leads
// out of the container, neither by name nor through /proc. The caller closes it.
//
// What an absolute path names may be a device or FIFO, whose opening has effects,
// or blocks: use O_PATH to find out.
func (c *Container) Open(path string, flags int, mode uint32) (int, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.killed {
		return -1, stopped("open a file")
	}
	how := unix.OpenHow{
		Flags: uint64(flags) | unix.O_CLOEXEC, Mode: uint64(mode),
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	}
	return openHow(int(c.root.Fd()), path, &how)
}

// Owner returns the user and group that the container's processes run as by
// default.
func (c *Container) Owner() (uid, gid uint32, err error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.killed {
		return 0, 0, stopped("look up the user")
	}
	who, err := c.lookupUser(c.config.User)
	return who.uid, who.gid, err
}
