package container

import (
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// userCache remembers who the users of the container's passwd and group files are,
// for as long as neither file changes: to open, read and parse them takes as long
// as all else that a process's start does in the agent.
type userCache struct {
	mu            sync.Mutex
	passwd, group fileState
	users         map[string]identity
	settled       time.Duration
}

const (
	// maxCachedUsers bounds the cache; who uses more starts anew.
	maxCachedUsers = 64
	// settled is how long a file must not have changed for its times to tell it
	// from a later version: they go on in steps of the kernel's clock.
	settled = time.Second
)

// fileState tells one content of a file from another. Of a file that isn't there
// it is zero.
type fileState struct {
	device, inode uint64
	size          int64
	modified      unix.Timespec
	changed       unix.Timespec
}

// isSettled reports whether any later change of the file will show.
func (s fileState) isSettled(now time.Time, settled time.Duration) bool {
	return now.Sub(time.Unix(s.changed.Unix())) > settled
}

// readUser resolves a user by the container's own files.
func (c *Container) readUser(spec string) (identity, error) {
	passwd, passwdState, err := c.lookAt("/etc/passwd")
	if err != nil {
		return identity{}, err
	}
	defer passwd.Close()
	group, groupState, err := c.lookAt("/etc/group")
	if err != nil {
		return identity{}, err
	}
	defer group.Close()
	u := &c.users
	u.mu.Lock()
	who, known := u.users[spec]
	known = known && u.passwd == passwdState && u.group == groupState
	u.mu.Unlock()
	if known {
		return who, nil
	}
	if who, err = lookUpIn(passwd, group, spec); err != nil {
		return identity{}, err
	}
	if now := time.Now(); passwdState.isSettled(now, u.settled) && groupState.isSettled(now, u.settled) {
		u.remember(passwdState, groupState, spec, who)
	}
	return who, nil
}

func (u *userCache) remember(passwd, group fileState, spec string, who identity) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.passwd != passwd || u.group != group || len(u.users) >= maxCachedUsers || u.users == nil {
		u.passwd, u.group, u.users = passwd, group, make(map[string]identity)
	}
	u.users[spec] = who
}

func lookUpIn(passwd, group *os.File, spec string) (identity, error) {
	p, err := openRegular(passwd)
	if err != nil {
		return identity{}, err
	}
	defer p.Close()
	g, err := openRegular(group)
	if err != nil {
		return identity{}, err
	}
	defer g.Close()
	return lookupUser(spec, p, g)
}

// lookAt opens a file of the container without any effect on it, and without
// leave to read it; nil if it isn't there.
func (c *Container) lookAt(name string) (*os.File, fileState, error) {
	path, err := c.open(name, unix.O_PATH)
	if errors.Is(err, unix.ENOENT) {
		return nil, fileState{}, nil
	}
	if err != nil {
		return nil, fileState{}, err
	}
	var stat unix.Stat_t
	err = unix.Fstat(int(path.Fd()), &stat)
	if err == nil && stat.Mode&unix.S_IFMT != unix.S_IFREG {
		// To open it might have an effect, or block.
		err = errors.New("not a regular file")
	}
	if err != nil {
		path.Close()
		return nil, fileState{}, &os.PathError{Op: "look at", Path: name, Err: err}
	}
	return path, fileState{
		device: stat.Dev, inode: stat.Ino, size: stat.Size, modified: stat.Mtim, changed: stat.Ctim,
	}, nil
}

// openRegular opens what lookAt has found for reading. Nothing is empty.
func openRegular(path *os.File) (io.ReadCloser, error) {
	if path == nil {
		return io.NopCloser(strings.NewReader("")), nil
	}
	return os.Open("/proc/self/fd/" + strconv.Itoa(int(path.Fd())))
}
