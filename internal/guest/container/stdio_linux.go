package container

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// stdio is the standard input and output of a process.
type stdio struct {
	tty bool
	// child are the process's ends, agent the agent's, nil where there is none.
	child, agent [3]*os.File
	// null is one of child that isn't its own.
	null *os.File
}

// openStdio makes a process's pipes or terminal. They belong to the user, who
// may want to open /dev/stdout or /dev/tty again.
func (c *Container) openStdio(process Process, who identity) (*stdio, error) {
	s := &stdio{tty: process.TTY, null: c.null}
	var err error
	if process.TTY {
		err = s.openTTY(c, process)
	} else {
		err = s.openPipes(process.Stdin)
	}
	if err == nil {
		err = s.give(int(who.uid))
	}
	if err != nil {
		s.close()
		return nil, internal("open standard input and output", err)
	}
	return s, nil
}

func (s *stdio) openPipes(stdin bool) error {
	s.child[0] = s.null
	for i := range s.child {
		if i == 0 && !stdin {
			continue
		}
		var fds [2]int
		if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
			return fmt.Errorf("pipe: %w", err)
		}
		child, agent := fds[1], fds[0]
		if i == 0 {
			child, agent = agent, child
		}
		s.child[i] = os.NewFile(uintptr(child), "pipe")
		// Only the agent's end is non-blocking: programs expect otherwise.
		err := unix.SetNonblock(agent, true)
		s.agent[i] = os.NewFile(uintptr(agent), "pipe")
		if err != nil {
			return err
		}
	}
	return nil
}

// openTTY opens a terminal of the container's own devpts. It goes through the
// file system itself, not through names that the container could change.
func (s *stdio) openTTY(c *Container, process Process) error {
	fd, err := openat2(int(c.pts.Fd()), "ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, unix.RESOLVE_BENEATH)
	if err != nil {
		return fmt.Errorf("open ptmx: %w", err)
	}
	s.agent[1] = os.NewFile(uintptr(fd), "ptmx")
	if process.Stdin {
		s.agent[0] = s.agent[1]
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return fmt.Errorf("unlock the terminal: %w", err)
	}
	rows, cols := process.Rows, process.Cols
	if rows == 0 || cols == 0 {
		rows, cols = 24, 80
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols}); err != nil {
		return fmt.Errorf("size the terminal: %w", err)
	}
	const flags = unix.O_RDWR | unix.O_NOCTTY | unix.O_CLOEXEC
	slave, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, flags)
	if errno != 0 {
		return fmt.Errorf("open the terminal: %w", errno)
	}
	terminal := os.NewFile(slave, "terminal")
	s.child = [3]*os.File{terminal, terminal, terminal}
	return nil
}

// give makes the user the owner of the process's ends.
func (s *stdio) give(uid int) error {
	if uid == 0 {
		return nil
	}
	for i, f := range s.child {
		if f == s.null || i > 0 && f == s.child[i-1] {
			continue
		}
		if err := f.Chown(uid, -1); err != nil {
			return err
		}
	}
	return nil
}

// release passes the agent's ends to a child.
func (s *stdio) release(child *Child) {
	child.Stdin, child.Stdout, child.Stderr = s.agent[0], s.agent[1], s.agent[2]
	s.agent = [3]*os.File{}
}

// close closes what is still its own.
func (s *stdio) close() {
	for i := range 3 {
		if s.child[i] != nil && s.child[i] != s.null {
			s.child[i].Close() // a terminal more than once, which is harmless
		}
		if s.agent[i] != nil {
			s.agent[i].Close()
		}
	}
}
