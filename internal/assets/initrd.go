package assets

import "io"

// initrdEntries are the files of the initial file system beside the agent. The
// kernel opens /dev/console for the agent; the agent mounts its own root at /root.
var initrdEntries = []cpioEntry{
	{name: "dev", mode: cpioDirectory | 0o755},
	{name: "dev/console", mode: cpioCharacter | 0o600, major: 5, minor: 1},
	{name: "root", mode: cpioDirectory | 0o755},
}

// WriteInitrd writes an initial file system, in which /init is a program of the
// given size that the function writes.
func WriteInitrd(w io.Writer, size int64, agent func(io.Writer) error) error {
	c := &cpioWriter{w: w}
	return c.initrd(size, func() error { return agent(c) })
}

// initrdSize is the number of bytes that WriteInitrd writes.
func initrdSize(agent int64) int64 {
	c := &cpioWriter{w: io.Discard}
	// Writing to io.Discard can't fail.
	_ = c.initrd(agent, func() error { c.n += agent; return nil })
	return c.n
}

func (c *cpioWriter) initrd(size int64, agent func() error) error {
	for _, e := range initrdEntries {
		if err := c.header(e); err != nil {
			return err
		}
	}
	if err := c.header(cpioEntry{name: "init", mode: cpioRegular | 0o755, size: size}); err != nil {
		return err
	}
	if err := agent(); err != nil {
		return err
	}
	return c.Close()
}
