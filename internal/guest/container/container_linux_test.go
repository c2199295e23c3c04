package container

import "testing"

func TestSpawn(t *testing.T) {
	c := newContainer(t, Config{})
	r := runProcess(t, c, Process{Args: []string{"sh", "-c", "id; echo $$; pwd; env; hostname; cat /proc/mounts; ls -l /proc/self/fd /dev; ps; grep -i cap /proc/self/status"}})
	t.Logf("%+v\n%s", r, r.stdout)
	r = runProcess(t, c, Process{Args: []string{"sh", "-c", "tty; stty size; ls -l /dev/pts; id"}, TTY: true, User: "ada", Rows: 10, Cols: 33})
	t.Logf("%+v\n%s", r, r.stdout)
	sh(t, c, "ps")
	_, err := c.Spawn(Process{Args: []string{"nope"}})
	t.Log(err)
}
