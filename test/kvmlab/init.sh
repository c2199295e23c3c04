#!/bin/sh
# Prepares the lab, runs the job and turns the machine off. The job comes as an
# archive on the second disk; what it leaves in /lab/out goes to the third.
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts -o ptmxmode=666 none /dev/pts
mount -t tmpfs none /dev/shm
mount -t tmpfs none /run
mount -t securityfs none /sys/kernel/security
mount -t cgroup2 none /sys/fs/cgroup
ln -s /proc/self/fd /dev/fd
ip link set lo up
hostname lab

for port in /sys/class/virtio-ports/*; do
  ln -s "/dev/${port##*/}" "/run/port-$(cat "$port/name")"
done
mkfifo /run/stdout /run/stderr
cat /run/stdout >/run/port-stdout &
cats=$!
cat /run/stderr >/run/port-stderr &
cats="$cats $!"

tar -x -f /dev/vdb -C /
mkdir -p /lab/out
setsid sh /run/job </dev/null >/run/stdout 2>/run/stderr
status=$?

# What the job left running may hold its streams open for ever.
for _ in $(seq 20); do
  # shellcheck disable=SC2086 # a list of numbers
  kill -0 $cats 2>/dev/null || break
  usleep 50000
done
if [ -b /dev/vdc ]; then
  tar -c -f /dev/vdc -C /lab/out . && sync || status=
fi
echo "$status" >/run/port-status
poweroff -f
