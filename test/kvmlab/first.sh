#!/bin/busybox sh
# shellcheck shell=dash
# The first process of the lab: loads the modules, and goes on to the disk's root.
/bin/busybox mkdir -p /dev /root
/bin/busybox mount -t devtmpfs none /dev
for module in /modules/*; do
  /bin/busybox insmod "$module" || echo "lab: $module is not loaded"
done
/bin/busybox mount -t ext4 -o noatime /dev/vda /root || exit
exec /bin/busybox switch_root /root /init
