/**
 * What to do about each thing that can be wrong with a mesh.
 * Source: the codes of `Topology.problems`, of an agent's faults, and docs/troubleshooting.md, which tells more of each.
 * @module
 */

const KILO = 'kilo.squat.ai/';

const REMEDIES: Readonly<Record<string, string>> = {
  'node-not-ready':
    'See whether an agent runs on it (kubectl -n kube-system logs -l app.kubernetes.io/name=kilo --field-selector spec.nodeName=NODE) and reaches the API; on the node: kilowire doctor.',
  'node-repeated': 'The API keeps each name once: this should not happen.',
  'peer-not-ready': 'Give the Peer a publicKey (wg genkey | wg pubkey) and at least one entry in allowedIPs.',
  'peer-invalid':
    'Correct the Peer (kubectl edit peer NAME); the webhook (kilowire webhook) refuses such ones.',
  'subnet-exhausted': 'Give every agent a larger --subnet, at the same time: it must be equal on all nodes.',
  'addresses-not-kept':
    'Give its agent --stable-addresses too, or wait until it has gone; every change of addresses breaks connections bound to them.',
  'allowed-location-ip-dropped': `Take the range from the annotation ${KILO}allowed-location-ips of one of the two that offer it.`,
  key: 'The state directory of the agent (/var/lib/kilo) must be writable and have space left.',
  'key-repeated':
    'Two members share a private key, as after cloning a disk: delete /var/lib/kilo/key on one of them and restart its agent.',
  'pod-cidr-repeated':
    'Pod CIDRs are given once: delete the Node and let it join anew, or free the range on the other.',
  'private-address-repeated': `Set ${KILO}force-internal-ip on one of them; "-" says that it has none.`,
  'endpoint-repeated': `Set ${KILO}force-endpoint on one of them, with a port of its own behind one address.`,
  'range-has-host-bits': 'Write the network, or /32 (/128) when one host is meant.',
  'network-claimed-twice':
    'Give one of the two another range: pod CIDRs are in spec.podCIDR of the Node, private addresses in its annotations.',
  'peer-ip-inside-mesh': 'Give the Peer an address outside of pods, nodes and the mesh.',
  'peer-ip-is-default-route': 'Nothing, if it shall only send; otherwise name the ranges behind the Peer.',
  'ipv6-pods-unreached':
    'Give the nodes of the location IPv6 addresses on the link of their private ones, or the agents --mesh-granularity=full.',
  'annotation-ignored': 'Correct or remove the annotation: kubectl annotate node NODE KEY-',
  'endpoint-unresolved':
    'Correct the name, or the resolver of the node; the last address that was known stays in use.',
  'leader-replaced':
    'Look at the node that was replaced: its power, its link, its FORWARD chain (kilowire doctor on it). It leads again by itself when Kilo would prefer it and it has been well for a minute.',
  'leader-failing':
    'Nothing, if only a member behind it is down; otherwise look at its link and its FORWARD chain (kilowire doctor on it). It is replaced when half of those who watch say so.',
  relayed:
    'Nothing, if the traffic may go there: the annotation kilowire.dev/relay=false on a node takes its location out, =true puts it before others. A public address, or a port forwarded to UDP 51820 and set as kilo.squat.ai/force-endpoint, on one of the two makes it needless.',
  'no-relay':
    'Let UDP pass between the two (a public address, or a forwarded port set as kilo.squat.ai/force-endpoint), or have a node that both reach, on which kilowire.dev/relay is not "false".',
  'relay-off':
    'Run kilowire agent of this release on both, and on a third that both reach, none with --relay=false; or let UDP pass between the two.',
  'leader-failover-off':
    'Run kilowire agent of this release on every node, none with --leader-failover=false and all with CAP_NET_RAW.',
  'granularity-differs':
    'Give all agents the same --mesh-granularity: until then they do not agree who leads.',
  'address-differs':
    'Wait for its agent (30 s); if it stays, agents differ in --subnet, --mesh-granularity or --topology-label.',
  'not-dialable': `Set ${KILO}force-endpoint to an address that others reach, or ${KILO}persistent-keepalive (25) when it is behind NAT.`,
  'no-handshake':
    'UDP to its endpoint must pass (port 51820 unless set otherwise), its agent must run, and its clock may not have been set back.',
  'agents-unasked':
    'Give your account list on pods and get on pods/proxy in the namespace of the agents (--namespace names it), or ask from a node, or from a laptop that is in the mesh (kilowire connect).',
  'peers-undefined':
    'Apply the CRD peers.kilo.squat.ai; without it there are no Peers, the mesh of nodes works.',
  'clock-differs': 'Let NTP set the clock: heart-beats are judged by it, and a minute is the limit.',
  'device-silent': 'See the log of the device in /var/lib/kilo, and kilowire doctor.',
  'link-down': 'Only a leader has it up; if this node leads, see the faults of its agent.',
};

/** `name` stands in for the placeholder of what the remedy speaks of. */
export const remedyFor = (code: string, name = ''): string => {
  const text = REMEDIES[code] ?? 'See the log of the agent.';
  return name === '' ? text : text.replace(/\bNODE\b|\bNAME\b/g, name);
};
