package container

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// TestUsersFollowTheirFiles: a user is who the files say now, whether or not it was
// looked up before.
func TestUsersFollowTheirFiles(t *testing.T) {
	for name, settled := range map[string]time.Duration{"cached at once": -time.Hour, "as ever": settled} {
		t.Run(name, func(t *testing.T) {
			root := newRoot(t)
			c := newContainer(t, Config{Root: root})
			c.users.settled = settled
			check := func(user, want string) {
				t.Helper()
				r := runProcess(t, c, Process{Args: []string{"sh", "-c", "id -u; id -g; id -G; echo $HOME"}, User: user})
				if r.stdout != want {
					t.Errorf("%s is %q, want %q", user, r.stdout, want)
				}
			}
			for range 2 {
				check("ada", "1000\n1000\n1000 10\n/home/ada\n")
				check("", "0\n0\n0 10\n/root\n")
			}
			writeFile(t, root, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\nada:x:1001:1000:Ada:/srv:/bin/sh\n")
			check("ada", "1001\n1000\n1000 10\n/srv\n")
			writeFile(t, root, "etc/group", "root:x:0:root\nada:x:1000:\n")
			check("ada", "1001\n1000\n1000\n/srv\n")
			mustDo(t, os.Remove(filepath.Join(root, "etc/passwd")))
			if _, err := c.Spawn(Process{Args: []string{"true"}, User: "ada"}); err == nil {
				t.Error("a user of a file that is gone is still known")
			}
			for uid := range 2 * maxCachedUsers {
				check(strconv.Itoa(uid+5000), strconv.Itoa(uid+5000)+"\n0\n0\n/\n")
				if uid >= 3 && settled > 0 {
					break // nothing is cached
				}
			}
			if n := len(c.users.users); n > maxCachedUsers {
				t.Errorf("%d users are remembered", n)
			}
		})
	}
}
