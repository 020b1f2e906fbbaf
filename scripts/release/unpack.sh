#!/bin/sh
# Kilowire @VERSION@ for Linux on @MACHINE@: Node and our programs, packed behind this text. The first call unpacks them into
# /var/lib/kilowire/data/@HASH@ (who is not root: ~/.cache/kilowire/@HASH@; KILOWIRE_DATA names another place), later calls
# only start them. Linked or copied as kilowire-wg, kgctl, kg or kilowire-cni, it is that program.
set -u
fail() { echo "${0##*/}: $1" >&2; exit 1; }
self=$(readlink -f -- "$0") || fail "cannot find out where I am; call me by a path"
if [ "$(id -u)" = 0 ]; then data=/var/lib/kilowire/data; else data=${XDG_CACHE_HOME:-${HOME:?no HOME}/.cache}/kilowire; fi
data=${KILOWIRE_DATA:-$data}
home=$data/@HASH@
if [ ! -d "$home" ]; then
  [ "$(uname -m)" = @UNAME@ ] || fail "I am for @UNAME@, and this machine is $(uname -m): take the other file"
  (umask 022 && mkdir -p -- "$data") || fail "cannot make $data: set KILOWIRE_DATA to a folder where programs may be"
  find "$data" -maxdepth 1 -name '.new.*' -mmin +10 -exec rm -rf {} + 2>/dev/null
  new=$(mktemp -d "$data/.new.XXXXXX") || fail "cannot write in $data: set KILOWIRE_DATA to another folder"
  trap 'rm -rf "$new"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  tail -c +@OFFSET@ -- "$self" | tar -xzf - -C "$new" ||
    fail "cannot unpack into $data, which takes @MEBIBYTES@ MiB: is there room, and is this file whole (SHA256SUMS)?"
  chmod 755 "$new"
  # One of several at once is first; the others take its.
  mv -T -- "$new" "$home" 2>/dev/null || [ -d "$home" ] || fail "cannot write in $data: set KILOWIRE_DATA to another folder"
  rm -rf "$new"
  trap - EXIT INT TERM HUP
fi
case ${0##*/} in
  kilowire-wg* | kgctl* | kg | kg-*) program=${0##*/} && program=${program%%-linux-*} ;;
  kilowire-cni*) exec "$home/dist/kilowire-cni" "$@" ;;
  *) program=kilowire ;;
esac
[ -x "$home/bin/$program" ] || fail "$home is not whole: remove it and call me again"
exec "$home/bin/$program" "$@"
exit 1
