#!/bin/bash
# The first process of a node, in new network, mount, host name, IPC, process and cgroup namespaces: a machine's private
# file systems over this machine's, then nothing but waiting. What a reboot keeps lies in DISK, all else is in memory.
# node-init.sh NAME ADDRESS DISK NAME=OPTION… (the cgroup hierarchies)
set -eu
name=$1 address=$2 disk=$3; shift 3
hostname "$name"
mount --make-rprivate /
umount -R /sys 2>/dev/null || umount -R -l /sys
mount -t sysfs sysfs /sys
mount -t proc proc /proc
mount -t tmpfs -o mode=755,size=1m cgroups /sys/fs/cgroup
for hierarchy; do mkdir "/sys/fs/cgroup/${hierarchy%%=*}"; mount -t cgroup -o "${hierarchy#*=}" cgroup "/sys/fs/cgroup/${hierarchy%%=*}"; done

# The machine's /etc, /opt and /var, changed in memory only; a bind mount keeps DISK in sight where it lies below them.
mount -t tmpfs -o mode=755 run /run
mkdir -p /run/lock /run/netns /run/k3s/containerd /run/disk /run/over
mount --bind "$disk" /run/disk
for top in etc opt var; do
  mkdir -p "/run/over/$top" "/run/over/$top.work"
  mount -t overlay -o "lowerdir=/$top,upperdir=/run/over/$top,workdir=/run/over/$top.work" "$top" "/$top"
done
for path in etc/cni etc/rancher etc/kubernetes opt/cni var/lib/cni var/lib/kilo var/lib/kubelet var/lib/rancher var/log; do
  mkdir -p "/run/disk/$path" "/$path"; mount --bind "/run/disk/$path" "/$path"
done
mkdir -p /etc/cni/net.d /opt/cni/bin
printf '127.0.0.1 localhost\n%s %s\n' "$address" "$name" > /run/hosts
[ -s /run/disk/machine-id ] || tr -d - < /proc/sys/kernel/random/uuid > /run/disk/machine-id
: > /run/resolv.conf
for file in hosts resolv.conf machine-id; do
  source=/run/$file; [ "$file" != machine-id ] || source=/run/disk/$file
  rm -f "/etc/$file"; cp "$source" "/etc/$file"
done

# A kubelet writes settings that are the whole machine's: it finds files that say what it wants. Each start is a new boot.
pretend() { local file=/run/settings/${1##*/}; echo "$2" > "$file"; mount --bind "$file" "/proc/sys/$1"; }
mkdir /run/settings
pretend vm/overcommit_memory 1
pretend vm/panic_on_oom 0
pretend kernel/panic 10
pretend kernel/panic_on_oops 1
pretend kernel/keys/root_maxkeys 1000000
pretend kernel/keys/root_maxbytes 25000000
pretend kernel/random/boot_id "$(cat /proc/sys/kernel/random/uuid)"
ip link set lo up
for setting in ipv4/ip_forward ipv4/conf/all/forwarding ipv4/conf/default/forwarding ipv6/conf/all/forwarding bridge/bridge-nf-call-iptables; do
  [ ! -e "/proc/sys/net/$setting" ] || echo 1 > "/proc/sys/net/$setting"
done
mount --make-rshared /
echo ready > /run/disk/ready
# Bash takes in the orphans of its process namespace while it waits.
while :; do sleep 3600 & wait $! || true; done
