#!/bin/bash
# One pair: the kernel's WireGuard and our device, each in a namespace, joined by a veth. Prints "ok WHAT" or "failed WHAT".
# kernel-pair.sh PROGRAM FAMILY PSK: runs where the kernel has WireGuard, by itself or in a virtual machine, as root.
set -u
program=$1 family=$2 psk=$3
id=$family${psk:1:1}
kernel=kwjk$id ours=kwju$id
folder=$(mktemp -d)
check() { local what=$1; shift; if "$@" >/dev/null 2>&1; then echo "ok $what"; else echo "failed $what"; fi; }
in_kernel() { ip netns exec "$kernel" "$@"; }
in_ours() { ip netns exec "$ours" "$@"; }
pings() { local where=$1; shift; ip netns exec "$where" ping -q -i 0.3 -W 5 "$@" | grep -q ' 0% packet loss'; }
# Emulated, a ping may be lost to nothing but slowness.
reaches() { local where=$1; shift; ip netns exec "$where" ping -q -i 0.3 -W 5 -c 5 "$@"; }
peer_of() { wg show "$1" "$2" | cut -f2-; }

for name in "$kernel" "$ours"; do
  ip netns add "$name"
  ip -n "$name" link set lo up
done
ip link add net netns "$kernel" type veth peer name net netns "$ours"
ip -n "$kernel" addr add 192.0.2.1/24 dev net; ip -n "$kernel" addr add 2001:db8::1/64 dev net nodad
ip -n "$ours" addr add 192.0.2.2/24 dev net; ip -n "$ours" addr add 2001:db8::2/64 dev net nodad
ip -n "$kernel" link set net up
ip -n "$ours" link set net up
if [ "$family" = 4 ]; then to_kernel=192.0.2.1:1000 to_ours=192.0.2.2:2000; else to_kernel=[2001:db8::1]:1000 to_ours=[2001:db8::2]:2000; fi
umask 077
wg genkey >"$folder/kernel"; wg genkey >"$folder/ours"; wg genpsk >"$folder/psk"
secret=(); [ "$psk" = psk ] && secret=(preshared-key "$folder/psk")

kernel_up() {
  in_kernel ip link add "$kernel" type wireguard
  in_kernel wg set "$kernel" listen-port 1000 private-key "$folder/kernel" \
    peer "$(wg pubkey <"$folder/ours")" "${secret[@]}" endpoint "$to_ours" allowed-ips 10.9.0.2/32,fd09::2/128
  ip -n "$kernel" addr add 10.9.0.1/24 dev "$kernel"; ip -n "$kernel" addr add fd09::1/64 dev "$kernel" nodad
  ip -n "$kernel" link set "$kernel" up
}
ours_up() {
  in_ours "$program" "$ours"
  wg set "$ours" listen-port 2000 private-key "$folder/ours" \
    peer "$(wg pubkey <"$folder/kernel")" "${secret[@]}" endpoint "$to_kernel" allowed-ips 10.9.0.1/32,fd09::1/128
  ip -n "$ours" addr add 10.9.0.2/24 dev "$ours"; ip -n "$ours" addr add fd09::2/64 dev "$ours" nodad
  ip -n "$ours" link set "$ours" up
  for _ in $(seq 100); do [ -n "$(in_ours ss -Hlun sport 2000)" ] && break; sleep 0.2; done
}
both() {
  check "$1: IPv4 from the kernel" reaches "$kernel" 10.9.0.2
  check "$1: IPv6 from ours" reaches "$ours" fd09::1
}

kernel_up
ours_up
check 'ten pings of a fresh session' pings "$ours" -c 10 10.9.0.1
# A response and ten messages of 128 bytes in; an initiation, ten messages and at most one keepalive out.
ours_transfer=$(peer_of "$ours" transfer) kernel_transfer=$(in_kernel wg show "$kernel" transfer | cut -f2-)
check 'our count of bytes' [ "$ours_transfer" = $'1372\t1428' -o "$ours_transfer" = $'1372\t1460' ]
check "the kernel's count of bytes" [ "$kernel_transfer" = $'1428\t1372' -o "$kernel_transfer" = $'1460\t1372' ]
both 'at once'
check 'packets of every length' in_ours bash -c 'for size in 0 1 15 16 17 500 1391 1392 1393 4000; do ping -q -c 1 -W 5 -s $size 10.9.0.1 || exit 1; done'
before=$(peer_of "$ours" latest-handshakes)
check 'nothing lost past a rekey' pings "$ours" -i 0.5 -c 254 10.9.0.1
check 'a rekey' [ "$(peer_of "$ours" latest-handshakes)" -gt $((before + 100)) ]
sleep 185
both 'after silence, the kernel first'
check 'nothing lost past a rekey by the kernel' pings "$kernel" -i 0.5 -c 254 10.9.0.2
in_kernel ip link del "$kernel"
kernel_up
both 'after a restart of the kernel'
ip -n "$ours" link del "$ours"
while [ -e "/var/run/wireguard/$ours.sock" ]; do sleep 0.2; done
ours_up
check 'IPv4 from ours after its restart' reaches "$ours" 10.9.0.1
both 'after our restart'
in_kernel wg set "$kernel" listen-port 1001
check 'the kernel at another port' reaches "$kernel" 10.9.0.2
check 'where we saw it' grep -q ':1001$' <(wg show "$ours" endpoints)
in_kernel ip link del "$kernel"
ip -n "$ours" link del "$ours"
rm -r "$folder"
echo end
