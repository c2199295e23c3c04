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

func TestDevices(t *testing.T) {
	c := newContainer(t, Config{Cgroup: newCgroup(t)})
	t.Log(sh(t, c, "cat /proc/self/cgroup; mknod /tmp/disk b 254 0 && ls -l /tmp/disk; head -c 1 /tmp/disk;head -c 1 /dev/zero | od -c; mknod /tmp/console c 5 1; echo hi > /tmp/console; mknod /tmp/null c 1 3; echo > /tmp/null; ls /sys/fs/cgroup; cat /proc/1/cgroup"))
}
