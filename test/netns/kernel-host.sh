#!/bin/bash
# The host side of an agent on a kernel that has WireGuard and IPIP: two locations, the first of two nodes. The nodes' passes
# are run by host-pass.ts; packets must get from each node's pods to each other's.
# kernel-host.sh NODE SCRIPT: prints "ok WHAT" or "failed WHAT", and at last "end".
set -u
node=$1 script=$2
folder=$(mktemp -d)
check() { local what=$1; shift; if "$@" >"$folder/said" 2>&1; then echo "ok $what"; else echo "failed $what: $(tail -n 3 "$folder/said" | tr '\n' ' ')"; fi; }
modprobe wireguard; modprobe ipip; modprobe veth 2>/dev/null
umask 077
# n1 and n2 are neighbours on 10.9.1.0/24, n3 is elsewhere; a router joins them.
ip netns add r; ip netns exec r sysctl -qw net.ipv4.ip_forward=1
ip -n r link add one type bridge; ip -n r addr add 10.9.1.254/24 dev one; ip -n r link set one up
nodes=
for n in 1 2 3; do
  ip netns add n$n; ip -n n$n link set lo up
  if [ $n = 3 ]; then address=10.9.3.3 gateway=10.9.3.254 location=two; else address=10.9.1.$n gateway=10.9.1.254 location=one; fi
  ip link add eth0 netns n$n type veth peer name to$n netns r
  ip -n r link set to$n up
  if [ $n = 3 ]; then ip -n r addr add $gateway/24 dev to$n; else ip -n r link set to$n master one; fi
  ip -n n$n addr add $address/24 dev eth0; ip -n n$n link set eth0 up
  ip -n n$n route add default via $gateway
  ip -n n$n link add pods type bridge; ip -n n$n addr add 10.42.$n.1/24 dev pods; ip -n n$n link set pods up
  ip netns exec n$n sysctl -qw net.ipv4.ip_forward=1
  ip -n n$n link add kilo0 type wireguard
  # Clamped already, as the agent's key files are.
  wg genkey >"$folder/key$n"; wg pubkey <"$folder/key$n" >"$folder/public$n"
  ip -n n$n addr show eth0 >/dev/null
  nodes+="${nodes:+,}{\"metadata\":{\"name\":\"n$n\",\"annotations\":{\"kilo.squat.ai/location\":\"$location\",\"kilo.squat.ai/endpoint\":\"$address:51820\",\"kilo.squat.ai/internal-ip\":\"$address/24\",\"kilo.squat.ai/key\":\"$(cat "$folder/public$n")\",\"kilo.squat.ai/last-seen\":\"1800000000\"}},\"spec\":{\"podCIDR\":\"10.42.$n.0/24\"}}"
done
# pass N MORE: one pass of node N with more members of the input. Emulated, V8 crashes now and then, with several threads more often:
# what a signal ended is done again, which a pass must bear anyhow.
pass() {
  local n=$1 more=$2
  echo "{\"hostname\":\"n$n\",\"socket\":\"\",\"kernel\":true,\"keyFile\":\"$folder/key$n\",\"now\":1800000000,\"nodes\":[$nodes],\"peers\":[$extra],\"remove\":false,\"clean\":false$more}" >"$folder/pass$n"
  for _ in 1 2 3; do
    echo "$folder/pass$n" | ip netns exec n$n "$node" --single-threaded "$script" >"$folder/out$n" 2>&1
    [ $? -lt 128 ] && break
  done
  grep '^done' "$folder/out$n" || { cat "$folder/out$n"; return 1; }
}
quiet_pass() { pass "$@" | grep -q '"faults":\[\]' || { cat "$folder/out$1"; return 1; }; }
still_pass() { pass "$@" | grep -q '^done {"faults":\[\],"changes":\[\]}' || { cat "$folder/out$1"; return 1; }; }
reaches() { ip netns exec n$1 ping -q -c 3 -W 5 -I 10.42.$1.1 10.42.$2.1; }
extra=
for how in always crosssubnet never; do
  for n in 1 2 3; do check "$how: a pass of n$n" quiet_pass $n ",\"flags\":{\"encapsulate\":\"$how\"}"; done
  for n in 1 2 3; do check "$how: a second pass of n$n changes nothing" still_pass $n ",\"flags\":{\"encapsulate\":\"$how\"}"; done
  for pair in '1 2' '2 1' '1 3' '3 1' '2 3' '3 2'; do check "$how: pods of ${pair% *} reach those of ${pair#* }" reaches $pair; done
  if [ $how = always ]; then
    check 'always: IPIP carries what neighbours say' bash -c "ip -n n1 -s link show tunl0 | awk '/RX:/ {getline; exit !(\$2 > 0)}'"
    check 'always: tunl0 has room for its own header' bash -c 'ip -n n1 link show tunl0 | grep -q "mtu 1480"'
    check 'always: the first address of the pods is on tunl0' bash -c 'ip -n n1 -4 addr show tunl0 | grep -q 10.42.1.1/32'
    check 'always: IPIP of a stranger is dropped' bash -c 'ip netns exec n1 iptables-save | grep -q "reject other IPIP"'
  fi
done
# Beside flannel: the location is joined by its VXLAN, as flannel leaves it, and nothing but the tunnel is ours.
modprobe vxlan
for n in 1 2; do
  ip -n n$n link add flannel.1 type vxlan id 1 dev eth0 local 10.9.1.$n dstport 8472 nolearning
  ip -n n$n link set flannel.1 address 02:00:00:00:00:0$n; ip -n n$n addr add 10.42.$n.0/32 dev flannel.1; ip -n n$n link set flannel.1 up
done
for pair in '1 2' '2 1'; do
  set -- $pair
  ip -n n$1 neigh replace 10.42.$2.0 lladdr 02:00:00:00:00:0$2 dev flannel.1 nud permanent
  bridge -n n$1 fdb replace 02:00:00:00:00:0$2 dev flannel.1 dst 10.9.1.$2
done
# Flannel has a route to the pods of every node, those elsewhere too: in clear.
for n in 1 2; do ip -n n$n route replace 10.42.3.0/24 via 10.42.3.0 dev flannel.1 onlink; done
other=',"flags":{"cni":false,"local":false,"compatibility":"flannel"}'
for n in 1 2 3; do check "flannel: a pass of n$n" quiet_pass $n "$other"; done
for n in 1 2 3; do check "flannel: a second pass of n$n changes nothing" still_pass $n "$other"; done
for pair in '1 2' '2 1'; do set -- $pair; ip -n n$1 route replace 10.42.$2.0/24 via 10.42.$2.0 dev flannel.1 onlink; done
for pair in '1 2' '2 1' '1 3' '3 1' '2 3' '3 2'; do check "flannel: pods of ${pair% *} reach those of ${pair#* }" reaches $pair; done
check 'flannel: what comes out of the tunnel for a neighbour goes by the overlay' bash -c 'ip -n n1 route show table 1107 | grep -q "10.9.1.2 via 10.42.2.0 dev flannel.1" && ip -n n1 rule | grep -q "to 10.9.1.2 iif kilo0 lookup 1107"'
check 'flannel: the overlay has carried what one node said to another location' bash -c "ip -n n2 -s link show flannel.1 | awk '/TX:/ {getline; exit !(\$2 > 0)}'"
check 'flannel: nothing of ours is in the filter for IPIP' bash -c '! ip netns exec n1 iptables-save -t filter | grep -q KILO-IPIP'
check 'flannel: its route to pods elsewhere has given way' bash -c 'ip -n n1 route get 10.42.3.1 | grep -q "dev kilo0"'
for n in 1 2; do ip -n n$n link del flannel.1; done
# Beside cilium: its own IPIP device, and the network that it routes the location by.
for n in 1 2 3; do ip -n n$n link set tunl0 down; ip -n n$n addr flush dev tunl0; ip -n n$n link set tunl0 name cilium_tunl; done
for n in 1 2; do ip -n n$n link add cilium_host type dummy; ip -n n$n addr add 10.42.$n.99/32 dev cilium_host; ip -n n$n link set cilium_host up; done
for pair in '1 2' '2 1'; do set -- $pair; ip -n n$1 route replace 10.42.$2.0/24 via 10.9.1.$2 dev eth0; done
plain=$nodes
for n in 1 2; do nodes=${nodes/\"kilo.squat.ai\/endpoint\":\"10.9.1.$n:/\"kilo.squat.ai/cni-compatibility-ip\":\"10.42.$n.99/32\",\"kilo.squat.ai/endpoint\":\"10.9.1.$n:}; done
other=',"flags":{"cni":false,"local":false,"compatibility":"cilium","encapsulate":"crosssubnet"}'
for n in 1 2 3; do check "cilium: a pass of n$n" quiet_pass $n "$other"; done
for n in 1 2 3; do check "cilium: a second pass of n$n changes nothing" still_pass $n "$other"; done
for pair in '1 2' '2 1' '1 3' '3 1' '2 3' '3 2'; do check "cilium: pods of ${pair% *} reach those of ${pair#* }" reaches $pair; done
check 'cilium: a follower hands over to the address of cilium_host' bash -c 'ip -n n2 route | grep -q "10.42.3.0/24 via 10.42.1.99 dev cilium_tunl"'
check 'cilium: its device has carried it' bash -c "ip -n n1 -s link show cilium_tunl | awk '/RX:/ {getline; exit !(\$2 > 0)}'"
nodes=$plain
for n in 1 2 3; do ip -n n$n link set cilium_tunl down; ip -n n$n link set cilium_tunl name tunl0; done
for n in 1 2; do ip -n n$n link del cilium_host; done
for pair in '1 2' '2 1'; do set -- $pair; ip -n n$1 route del 10.42.$2.0/24 via 10.9.1.$2 dev eth0; done
# More allowed IPs than fit a page, and more peers than fit a message.
peers=
for p in $(seq 40); do
  ranges=$(for r in $(seq 30); do printf '"10.6.%d.%d/32",' "$p" "$r"; done)
  peers+="${peers:+,}{\"metadata\":{\"name\":\"p$p\"},\"spec\":{\"publicKey\":\"$(wg genkey | wg pubkey)\",\"allowedIPs\":[${ranges%,}]}}"
done
big=$(for r in $(seq 600); do printf '"10.7.%d.%d/32",' $((r / 250)) $((r % 250)); done)
peers+=",{\"metadata\":{\"name\":\"big\"},\"spec\":{\"publicKey\":\"$(wg genkey | wg pubkey)\",\"allowedIPs\":[${big%,}]}}"
extra=$peers
check 'forty-one Peers with 1,800 ranges' quiet_pass 3 ',"flags":{}'
check 'are all in the kernel' bash -c '[ "$(ip netns exec n3 wg show kilo0 allowed-ips | tr "\t " "\n\n" | grep -c "^10\.[67]\.")" = 1800 ]'
check 'and are read back whole' still_pass 3 ',"flags":{}'
check 'the session has lived through it' reaches 3 1
extra=
check 'and go again' quiet_pass 3 ',"flags":{}'
check 'until one peer is left' bash -c '[ "$(ip netns exec n3 wg show kilo0 peers | wc -l)" = 1 ]'
check 'clean-up' quiet_pass 1 ',"clean":true,"flags":{"cleanUpInterface":true}'
check 'leaves no link, no route, no rule, no chain' bash -c '! ip -n n1 link | grep -q kilo0 && ! ip -n n1 route show table all proto static | grep -q . && ! ip -n n1 rule | grep -q 1107 && ! ip netns exec n1 iptables-save | grep -q KILO'
# --create-interface with --device=kernel: the agent makes what is missing.
check 'an interface is made in the kernel' quiet_pass 1 ',"make":"kernel","flags":{}'
check 'it is of the kind wireguard' bash -c 'ip -n n1 -d link show kilo0 | grep -q "wireguard"'
check 'it is known again' still_pass 1 ',"flags":{}'
check 'and carries packets' reaches 1 3
check 'one of another name too' quiet_pass 2 ',"make":"auto","flags":{"interface":"mesh7"}'
check 'which is there' bash -c 'ip -n n2 -d link show mesh7 | grep -q "wireguard"'
rm -rf "$folder"
echo end
