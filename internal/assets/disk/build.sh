#!/bin/sh
# Makes the empty ext4 file system that every box's disk starts as, and leaves it
# here as empty.ext4.zst. Needs e2fsprogs and zstd; not root. The same version of
# e2fsprogs gives the same bytes.
#
# The file system has 64 MiB, of which the zeros at the end are left out; the guest's kernel grows it online to the size of
# the box's disk, with EXT4_IOC_RESIZE_FS. What is chosen here, and why:
#
#   resize=67108864    room for the group descriptors of 256 GiB right behind the
#                      superblock; beyond, the kernel turns to meta_bg by itself
#   lazy_*_init=1      the host's file is sparse and reads as zeros: nothing needs
#                      to be zeroed
#   -J size=8          the journal is rewritten over and over, so in time all of it
#                      takes space on the host
#   -i 8192            8,192 inodes in each group of 128 MiB: one for every 16 KiB
#                      once grown, as 64 MiB are half a group
#   -m 0               no blocks are kept back for root
set -eu
export LC_ALL=C TZ=UTC PATH="$PATH:/usr/sbin:/sbin"
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Neither this host's defaults nor the time decide what comes out.
export MKE2FS_CONFIG="$work/mke2fs.conf" E2FSPROGS_FAKE_TIME=1767225600
printf '[fs_types]\next4 = {\ninode_size = 256\n}\nsmall = {\ninode_ratio = 8192\n}\n' >"$MKE2FS_CONFIG"
id=b0711e00-0000-4000-8000-000000000001
truncate -s 64M "$work/empty.ext4"
mke2fs -q -F -t ext4 -b 4096 -I 256 -i 8192 -m 0 -J size=8 -U "$id" \
  -O none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum \
  -E "hash_seed=$id,root_owner=0:0,lazy_itable_init=1,lazy_journal_init=1,resize=67108864" \
  "$work/empty.ext4"
e2fsck -fn "$work/empty.ext4" >/dev/null

# All is zero from here on; leaving it out makes a disk in a tenth of the time.
last=$({ cmp -l "$work/empty.ext4" /dev/zero 2>/dev/null || true; } | tail -n 1 | awk '{ print $1 }')
truncate -s $(((last + 4095) / 4096 * 4096)) "$work/empty.ext4"
zstd -19 -q -f "$work/empty.ext4" -o "$here/empty.ext4.zst"
chmod 644 "$here/empty.ext4.zst"
