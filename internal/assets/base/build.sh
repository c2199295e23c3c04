#!/bin/sh
# Builds the base image's root filesystem from Debian's packages busybox-static
# and ca-certificates, and leaves it here:
#
#   base_amd64.tar.zst   the root filesystem
#   provenance.txt       which packages it was made from, and checksums
#
# The same packages give the same bytes. Needs Debian with zstd; not root.
set -eu
export LC_ALL=C TZ=UTC
umask 022
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir "$work/debs" "$work/packages" "$work/root"
(cd "$work/debs" && apt-get download -qq busybox-static:amd64 ca-certificates)
for deb in "$work"/debs/*.deb; do
  dpkg-deb -x "$deb" "$work/packages"
done
packages=$work/packages
root=$work/root
cd "$root"

# Directories. /bin, /sbin and /lib are links, as in most distributions today, so
# that a script finds its interpreter under either name.
mkdir -p usr/bin usr/sbin usr/lib usr/local/bin usr/local/sbin usr/share/doc \
  etc/ssl/certs home/user root tmp run proc sys dev mnt opt srv \
  var/cache var/lib var/log var/tmp
ln -s usr/bin bin
ln -s usr/sbin sbin
ln -s usr/lib lib
ln -s ../run var/run
chmod 0700 root
chmod 1777 tmp var/tmp

# Tools. Hard links, not symbolic ones: `cp program /usr/bin/wget` would write
# through a symbolic link and destroy every tool at once.
cp "$packages/bin/busybox" usr/bin/busybox
usr/bin/busybox --list-full | sort | while read -r path; do
  name=$(basename "$path")
  case $path in
  sbin/* | usr/sbin/*) dir=usr/sbin ;;
  linuxrc | */busybox) continue ;;
  *) dir=usr/bin ;;
  esac
  [ -e "$dir/$name" ] || ln usr/bin/busybox "$dir/$name"
done

# Certificates, as update-ca-certificates joins them.
find "$packages/usr/share/ca-certificates" -name '*.crt' | sort | while read -r file; do
  cat "$file"
  [ -z "$(tail -c 1 "$file")" ] || echo
done >etc/ssl/certs/ca-certificates.crt
ln -s certs/ca-certificates.crt etc/ssl/cert.pem

for package in busybox-static ca-certificates; do
  mkdir "usr/share/doc/$package"
  cp "$packages/usr/share/doc/$package/copyright" "usr/share/doc/$package/"
done
mkdir usr/share/common-licenses
cp /usr/share/common-licenses/GPL-2 /usr/share/common-licenses/MPL-2.0 usr/share/common-licenses/

cp -R "$here/etc" .
find . -type f ! -path './usr/bin/*' ! -path './usr/sbin/*' -exec chmod 0644 {} +
chmod 0600 etc/shadow
chmod 0755 usr/bin/busybox

# Everything belongs to root but user's home.
mtime=@$(stat -c %Y "$packages/bin/busybox")
archive=$work/base.tar
tar --create --file "$archive" --format=gnu --sort=name --mtime "$mtime" \
  --numeric-owner --owner=0 --group=0 --exclude=./home/user .
tar --append --file "$archive" --format=gnu --sort=name --mtime "$mtime" \
  --numeric-owner --owner=1000 --group=1000 ./home/user
zstd -19 -q -f "$archive" -o "$here/base_amd64.tar.zst"
chmod 644 "$here/base_amd64.tar.zst"

{
  for deb in "$work"/debs/*.deb; do
    echo "package: $(dpkg-deb --field "$deb" Package) $(dpkg-deb --field "$deb" Version)"
    echo "  sha256: $(sha256sum <"$deb" | cut -d' ' -f1)"
  done
  echo "tar sha256: $(sha256sum <"$archive" | cut -d' ' -f1)"
  echo "tar.zst sha256: $(sha256sum <"$here/base_amd64.tar.zst" | cut -d' ' -f1)"
} >"$here/provenance.txt"
