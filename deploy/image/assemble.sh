#!/bin/sh
# assemble.sh <folder> <seconds since 1970>: makes <folder>/system of the programs of this machine, and gives all in
# <folder> the same time and rights, so that equal inputs make an equal image.
set -eu
folder=$1
epoch=$2
system=$folder/system
node=$(readlink -f "$(command -v node)")

mkdir -p "$system/usr/bin" "$system/usr/local/bin" "$system/etc" "$system/app"
# Where a container engine mounts, and what a read-only root cannot make.
mkdir -p "$system/proc" "$system/sys" "$system/dev" "$system/tmp"
cp "$node" "$system/usr/local/bin/node"
cp /usr/bin/tini-static "$system/usr/bin/tini"

# The loader and the libraries, under the names by which they are looked for.
ldd "$node" | grep -o '/[^ )]*' | sort -u | while read -r library; do
  mkdir -p "$system$(dirname "$library")"
  cp -L "$library" "$system$library"
done

echo 'nonroot:x:65532:65532::/tmp:/sbin/nologin' >"$system/etc/passwd"
echo 'nonroot:x:65532:' >"$system/etc/group"
echo 'hosts: files dns' >"$system/etc/nsswitch.conf"

# For debuggers and editors only.
find "$folder/app/node_modules" -type f \
  \( -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' -o -name '*.map' \) -delete

chown -R 0:0 "$folder"
chmod -R u=rwX,go=rX "$folder"
chmod 1777 "$system/tmp"
find "$folder" -exec touch -h -d "@$epoch" {} +
