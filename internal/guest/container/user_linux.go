package container

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/boxlite-go/boxlite/internal/protocol"
)

// Limits of what is read from an image's passwd and group files.
const (
	maxUserFile = 4 << 20
	maxGroups   = 1 << 16 // NGROUPS_MAX
)

// errUserFile means that a passwd or group file is too large.
var errUserFile = fmt.Errorf("larger than %d bytes", maxUserFile)

// identity is who a process runs as.
type identity struct {
	uid, gid uint32
	// groups are all supplementary groups; gid is the first of them.
	groups []uint32
	home   string
}

// lookupUser resolves name|uid[:group|gid] as Docker does: the first line of
// passwd whose name or number fits counts; a number without a line has group 0
// and the home "/"; a group that is named replaces all others. An empty spec
// means user 0.
func lookupUser(spec string, passwd, group io.Reader) (identity, error) {
	user, groupName, explicit := strings.Cut(spec, ":")
	if user == "" {
		user = "0"
	}
	if explicit && groupName == "" {
		explicit = false
	}
	who, name, err := findUser(user, passwd)
	if err != nil {
		return identity{}, err
	}
	if explicit {
		who.gid, err = findGroup(groupName, group)
		who.groups = []uint32{who.gid}
		return who, err
	}
	who.groups, err = groupsOf(name, who.gid, group)
	return who, err
}

// findUser returns the user and, if it has a line in passwd, its name.
func findUser(user string, passwd io.Reader) (identity, string, error) {
	who := identity{home: "/"}
	number, numeric := parseID(user)
	var name string
	err := eachLine(passwd, func(line string) bool {
		f := strings.Split(line, ":")
		if len(f) < 4 {
			return true
		}
		uid, ok := parseID(f[2])
		if !ok || f[0] != user && !(numeric && uid == number) {
			return true
		}
		gid, ok := parseID(f[3])
		if !ok {
			return true
		}
		name, who.uid, who.gid = f[0], uid, gid
		if len(f) > 5 && strings.HasPrefix(f[5], "/") {
			who.home = f[5]
		}
		return false
	})
	if err != nil {
		return identity{}, "", fmt.Errorf("read /etc/passwd: %w", err)
	}
	if name == "" {
		if !numeric {
			return identity{}, "", unknown("user", user, "/etc/passwd")
		}
		who.uid = number
	}
	return who, name, nil
}

// findGroup returns the ID of a group given by name or number.
func findGroup(name string, group io.Reader) (uint32, error) {
	gid, numeric := parseID(name)
	if numeric {
		return gid, nil
	}
	found := false
	err := eachLine(group, func(line string) bool {
		f := strings.Split(line, ":")
		if len(f) >= 3 && f[0] == name {
			gid, found = parseID(f[2])
		}
		return !found
	})
	if err != nil {
		return 0, fmt.Errorf("read /etc/group: %w", err)
	}
	if !found {
		return 0, unknown("group", name, "/etc/group")
	}
	return gid, nil
}

// groupsOf returns gid and the groups that list the user as a member.
func groupsOf(user string, gid uint32, group io.Reader) ([]uint32, error) {
	gids := []uint32{gid}
	if user == "" {
		return gids, nil
	}
	seen := map[uint32]bool{gid: true}
	err := eachLine(group, func(line string) bool {
		f := strings.Split(line, ":")
		if len(f) < 4 || !slices.Contains(strings.Split(f[3], ","), user) {
			return true
		}
		if id, ok := parseID(f[2]); ok && !seen[id] {
			seen[id] = true
			gids = append(gids, id)
		}
		return len(gids) <= maxGroups
	})
	if err == nil && len(gids) > maxGroups {
		err = fmt.Errorf("user %s is in more than %d groups", user, maxGroups)
	}
	if err != nil {
		return nil, fmt.Errorf("read /etc/group: %w", err)
	}
	return gids, nil
}

// eachLine calls f for each line that is no comment until it returns false. A nil
// reader is an empty file.
func eachLine(r io.Reader, f func(line string) bool) error {
	if r == nil {
		return nil
	}
	limited := &io.LimitedReader{R: r, N: maxUserFile + 1}
	b := bufio.NewReader(limited)
	for {
		line, err := b.ReadString('\n')
		if limited.N <= 0 {
			return errUserFile
		}
		line = strings.TrimSpace(line)
		if line != "" && line[0] != '#' && !f(line) {
			return nil
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// parseID parses a user or group ID. The largest is the kernel's "no ID".
func parseID(s string) (uint32, bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err == nil && n < math.MaxUint32 && s[0] != '+'
}

func unknown(what, name, file string) error {
	return &protocol.Error{
		Kind: protocol.KindInvalidArgument,
		Op:   fmt.Sprintf("look up %s %q", what, name),
		Hint: fmt.Sprintf("the image's %s has no such %s: name one that it has, or give a number", file, what),
		Err:  errors.New("no such " + what),
	}
}
