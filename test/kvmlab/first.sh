#!/bin/busybox sh
# shellcheck shell=dash
# The first process of the lab: loads the modules, and goes on to the disk's root.
/bin/busybox mkdir -p /dev /root /sys
/bin/busybox mount -t devtmpfs none /dev
/bin/busybox mount -t sysfs none /sys

# Linux measures its clock once more in its first seconds. KVM would keep the rate of before:
# if they differ by more than it tolerates, the timers of its guests do not work.
settle() {
  for _ in $(/bin/busybox seq 200); do
    read -r clock </sys/devices/system/clocksource/clocksource0/current_clocksource
    [ "$clock" != tsc ] || return
    /bin/busybox usleep 50000
  done
  echo "lab: the clock has not settled"
}

for module in /modules/*; do
  case $module in *kvm.ko*) settle ;; esac
  /bin/busybox insmod "$module" || echo "lab: $module is not loaded"
done
/bin/busybox mount -t ext4 -o noatime /dev/vda /root || exit
/bin/busybox umount /sys
exec /bin/busybox switch_root /root /init
