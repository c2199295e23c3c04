#!/bin/sh
# Builds the guest kernel from Debian's linux-source package, changed by what is in
# patches/, and leaves it here:
#
#   vmlinux-amd64.zst     the kernel, stripped, compressed with zstd
#   provenance.txt        which source it was made from, and its checksums
#
# About 17 minutes on two cores. Needs, from Debian: linux-source build-essential
# flex bison bc libelf-dev libssl-dev zstd xz-utils; `make kernel` installs them.
# JOBS sets the number of parallel jobs, BUILD_DIR a folder to build in.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
source=$(ls /usr/src/linux-source-6.1.tar.xz)
package=$(dpkg-query -W -f '${Package} ${Version}' linux-source-6.1)
build=${BUILD_DIR:-}
if [ -z "$build" ]; then
  build=$(mktemp -d)
  trap 'rm -rf "$build"' EXIT
fi

tree=$build/linux-source-6.1
[ -d "$tree" ] || tar -C "$build" -xf "$source"
for change in "$here"/patches/*.patch; do
  if ! patch -d "$tree" -p1 -R -s -f --dry-run <"$change" >/dev/null; then # it is not in yet
    patch -d "$tree" -p1 -s <"$change"
  fi
done

# The same source must give the same kernel, wherever it is built.
export KBUILD_BUILD_USER=boxlite KBUILD_BUILD_HOST=boxlite KBUILD_BUILD_VERSION=1
KBUILD_BUILD_TIMESTAMP=@$(stat -c %Y "$source")
export KBUILD_BUILD_TIMESTAMP

make -C "$tree" ARCH=x86_64 KCONFIG_ALLCONFIG="$here/config" allnoconfig
missing=$(grep -oE '^CONFIG_[A-Z0-9_]+=y' "$here/config" | while read -r option; do
  grep -qx "$option" "$tree/.config" || echo "$option"
done)
if [ -n "$missing" ]; then
  echo "kernel/build.sh: this source cannot give: $missing" >&2
  exit 1
fi
make -C "$tree" ARCH=x86_64 -j"${JOBS:-$(nproc)}" vmlinux

# Relocations stay: the kernel places itself at random addresses with them.
strip --strip-debug -o "$build/vmlinux" "$tree/vmlinux"
strip --strip-all "$build/vmlinux"
zstd -19 -f -q "$build/vmlinux" -o "$here/vmlinux-amd64.zst"
chmod 644 "$here/vmlinux-amd64.zst"

{
  echo "package:          $package"
  echo "source sha256:    $(sha256sum <"$source" | cut -d' ' -f1)"
  for change in "$here"/patches/*.patch; do
    echo "patch sha256:     $(sha256sum <"$change" | cut -d' ' -f1) $(basename "$change")"
  done
  echo "config sha256:    $(sha256sum <"$here/config" | cut -d' ' -f1)"
  echo "compiler:         $(gcc --version | head -n 1)"
  echo "release:          $(make -s -C "$tree" ARCH=x86_64 kernelrelease)"
  echo "vmlinux sha256:   $(sha256sum <"$build/vmlinux" | cut -d' ' -f1)"
  echo "vmlinux.zst sha256: $(sha256sum <"$here/vmlinux-amd64.zst" | cut -d' ' -f1)"
} >"$here/provenance.txt"
