#!/bin/sh
# Makes the empty ext4 file systems that the disks of boxes start as, and leaves
# them here as empty-SIZE.zst. Needs Go, e2fsprogs and zstd; not root. The same
# version of e2fsprogs gives the same bytes.
#
# The larger one is for the usual disk, and saves the guest a tenth of a second.
# Any other disk starts as one of them too, and the guest's kernel grows it online
# to its size, with EXT4_IOC_RESIZE_FS. What is chosen here, and why:
#
#   resize=67108864    room for the group descriptors of 256 GiB right behind the
#                      superblock; beyond, the kernel turns to meta_bg by itself
#   lazy_*_init=1      the host's file is sparse and reads as zeros: nothing needs
#                      to be zeroed
#   -J size=8          the journal is rewritten over and over, so in time all of it
#                      takes space on the host
#   -N                 8,192 inodes in each group of 128 MiB: one for every 16 KiB.
#                      A ratio would give half of them when half a group has grown
#   -m 0               no blocks are kept back for root
#   upper, work        the folders for overlayfs: the guest's first writes would be
#                      for them, and take longer than its start should
set -eu
export LC_ALL=C TZ=UTC PATH="$PATH:/usr/sbin:/sbin"
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Neither this host's defaults nor the time decide what comes out.
export MKE2FS_CONFIG="$work/mke2fs.conf" E2FSPROGS_FAKE_TIME=1767225600
printf '[fs_types]\next4 = {\ninode_size = 256\n}\nsmall = {\ninode_size = 256\n}\n' >"$MKE2FS_CONFIG"
id=b0711e00-0000-4000-8000-000000000001

# make_disk SIZE INODES makes the file system of SIZE.
make_disk() {
  image=$work/$1
  truncate -s "$1" "$image"
  mke2fs -q -F -t ext4 -b 4096 -I 256 -N "$2" -m 0 -J size=8 -U "$id" \
    -O none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum \
    -E "hash_seed=$id,root_owner=0:0,lazy_itable_init=1,lazy_journal_init=1,resize=67108864" \
    "$image"
  for command in "mkdir upper" "mkdir work" "set_inode_field work mode 040700"; do
    debugfs -w -R "$command" "$image" 2>/dev/null
  done
  e2fsck -fn "$image" >/dev/null 2>&1
  (cd "$here" && go run ./pack) <"$image" >"$image.packed"
  zstd -19 -q -f "$image.packed" -o "$here/empty-$1.zst"
  chmod 644 "$here/empty-$1.zst"
}
make_disk 64M 8192
make_disk 10G 655360
