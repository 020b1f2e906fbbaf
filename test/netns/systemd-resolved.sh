#!/bin/bash
# A system bus and systemd-resolved for a host that is a network namespace; names are then resolved by it there.
# systemd-resolved.sh FOLDER (where the programs are: / when they are installed) [apart]
# `apart`: /run and /etc are made the host's own first, in a mount namespace of its own; else they are already.
set -eu
folder=${1%/}
if [ "${2-}" = apart ]; then
  mount --make-rprivate /
  mount -t tmpfs -o mode=755 tmpfs /run
  mkdir /run/etc /run/etc.work
  mount -t overlay -o lowerdir=/etc,upperdir=/run/etc,workdir=/run/etc.work overlay /etc
fi
# Its package makes it.
grep -q '^systemd-resolve:' /etc/passwd || {
  echo 'systemd-resolve:x:990:990::/:/usr/sbin/nologin' >> /etc/passwd
  echo 'systemd-resolve:x:990:' >> /etc/group
}
mkdir -p /run/dbus /run/systemd/resolve
chown systemd-resolve:systemd-resolve /run/systemd/resolve
ln -sf /run/systemd/resolve/stub-resolv.conf /etc/resolv.conf
cat > /run/dbus/bus.conf <<END
<busconfig>
  <include>/usr/share/dbus-1/system.conf</include>
  <include>$folder/usr/share/dbus-1/system.d/org.freedesktop.resolve1.conf</include>
</busconfig>
END
dbus-daemon --config-file=/run/dbus/bus.conf --nofork --nopidfile &
until [ -S /run/dbus/system_bus_socket ]; do sleep 0.02; done
resolved=$folder/usr/lib/systemd/systemd-resolved
[ -x "$resolved" ] || resolved=$folder/lib/systemd/systemd-resolved
SYSTEMD_LOG_TARGET=console "$resolved" &
trap 'kill $(jobs -p); wait' TERM
wait -n
