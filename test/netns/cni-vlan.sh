#!/bin/bash
# VLANs as the kernel keeps them: pods of one bridge that may and may not hear each other. Prints "ok WHAT" or "failed WHAT".
# cni-vlan.sh PROGRAM: runs where the kernel has VLAN filtering, by itself or in a virtual machine, as root.
set -u
program=$1
node=kwckv
folder=$(mktemp -d)
check() { local what=$1 said; shift; if said=$("$@" 2>&1); then echo "ok $what"; else echo "failed $what: $(tr '\n' ' ' <<<"$said")"; fi; }
not() { ! "$@"; }
on_node() { ip netns exec "$node" "$@"; }
in_pod() { local pod=$1; shift; ip netns exec "$node-$pod" "$@"; }
pings() { in_pod "$1" ping -q -c 5 -i 0.3 -W 5 "$2"; }
hears() { in_pod "$1" ping -q -c 2 -i 0.3 -w 4 "$2"; }
# call VERB POD CONFIGURATION
call() {
  on_node env -i PATH="$PATH" CNI_COMMAND="$1" CNI_CONTAINERID="$2" CNI_NETNS="/run/netns/$node-$2" CNI_IFNAME=eth0 CNI_PATH=/nowhere \
    "$program" <<<"$3" | tee "$folder/$1-$2"
  return "${PIPESTATUS[0]}"
}
# The host's end of a pod's pair: the second interface of the result.
port() { grep -o '"name": *"[^"]*"' "$folder/ADD-$1" | sed -n 2p | cut -d'"' -f4; }
vlans() { on_node bridge vlan show dev "$(port "$1")"; }
# with_result CONFIGURATION POD: as a runtime asks for CHECK
with_result() { sed "s|}\$|,\"prevResult\":$(tr -d '\n' <"$folder/ADD-$2")}|" <<<"$1"; }

ip netns add "$node"; ip -n "$node" link set lo up
for pod in a b c t k; do ip netns add "$node-$pod"; done
common="\"cniVersion\":\"1.1.0\",\"type\":\"kilowire\",\"bridge\":\"brv\",\"stateDir\":\"$folder/state\""
ipam() { echo "\"isDefaultGateway\":true,\"ipam\":{\"dataDir\":\"$folder/leases\",\"ranges\":[[{\"subnet\":\"$1\"}]]}"; }
hundred="{$common,\"name\":\"hundred\",\"vlan\":100,$(ipam 10.42.1.0/24)}"
two_hundred="{$common,\"name\":\"two\",\"vlan\":200,$(ipam 10.42.2.0/24)}"
keeping="{$common,\"name\":\"keeping\",\"vlan\":100,\"preserveDefaultVlan\":true,\"ipam\":{}}"
trunk="{$common,\"name\":\"trunk\",\"vlanTrunk\":[{\"minID\":100,\"maxID\":103},{\"id\":200}],\"ipam\":{}}"

check 'ADD of a pod in VLAN 100' call ADD a "$hundred"
check 'ADD of another' call ADD b "$hundred"
check 'ADD of a pod in VLAN 200' call ADD c "$two_hundred"
check 'ADD of a trunk' call ADD t "$trunk"
check 'ADD of one that keeps VLAN 1' call ADD k "$keeping"
check 'the bridge filters' grep -q 'vlan_filtering 1' <(ip -n "$node" -d link show brv)
check 'a pod has its VLAN untagged' grep -qE '\b100 PVID Egress Untagged' <(vlans a)
check 'and no other' not grep -qE '\b(1|200)( |$)' <(vlans a | tail -n +2 | sed 's/^[^ ]*//')
check 'one that keeps VLAN 1 has both' [ "$(vlans k | grep -cE '\b(1 Egress Untagged|100 PVID Egress Untagged)')" = 2 ]
check "the trunk has VLAN 1 untagged, the others tagged" [ "$(vlans t | tail -n +2 | sed -E 's/^\S*\s+//; s/\s+$//' | tr -s '\n' ,)" = '1 PVID Egress Untagged,100,101,102,103,200,' ]
check "the node's leg is in the result" grep -q '"brv.100"' "$folder/ADD-a"
check "the node's leg has the gateway's address" grep -q '10.42.1.1/24' <(ip -n "$node" -o address show dev brv.100)
check 'the bridge itself has none' not grep -q 'inet ' <(ip -n "$node" -o address show dev brv)
check 'pods of one VLAN reach each other' pings a 10.42.1.3
check 'and their gateway' pings a 10.42.1.1
check 'the other VLAN has its own' pings c 10.42.2.1
in_pod a ip address add 10.42.2.99/24 dev eth0
check 'with an address of the other network a pod hears nobody there' not hears a 10.42.2.2
in_pod a ip address del 10.42.2.99/24 dev eth0
in_pod t ip link set eth0 up
for vlan in 100 200 201; do in_pod t ip link add link eth0 name "eth0.$vlan" type vlan id "$vlan"; in_pod t ip link set "eth0.$vlan" up; done
in_pod t ip address add 10.42.1.77/24 dev eth0.100
in_pod t ip address add 10.42.2.77/24 dev eth0.200
check 'the trunk reaches VLAN 100' pings t 10.42.1.2
check 'and VLAN 200' pings t 10.42.2.2
in_pod t ip address del 10.42.2.77/24 dev eth0.200
in_pod t ip address add 10.42.2.77/24 dev eth0.201
check 'but no VLAN that was not asked for' not hears t 10.42.2.2
for pod in a b; do check "CHECK of $pod" call CHECK "$pod" "$(with_result "$hundred" "$pod")"; done
check 'CHECK of the trunk' call CHECK t "$(with_result "$trunk" t)"
for pod in a b; do check "DEL of $pod" call DEL "$pod" "$hundred"; done
check 'DEL of c' call DEL c "$two_hundred"; check 'DEL of k' call DEL k "$keeping"; check 'DEL of t' call DEL t "$trunk"
check "nothing is left but the bridge and the node's legs" [ "$(ip -n "$node" -o link show type veth | grep -oE ' brv\.[0-9]+' | wc -l)/$(ip -n "$node" -o link show type veth | wc -l)" = 2/4 ]
check 'no lease' [ -z "$(find "$folder/leases" -type f -name '10.*')" ]
check 'no record' [ -z "$(find "$folder/state" -name '*.json')" ]
for pod in a b c t k; do ip netns del "$node-$pod"; done
ip netns del "$node"
rm -r "$folder"
echo end
