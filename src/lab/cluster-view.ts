/**
 * The lab's nodes and its laptop as the mesh sees them: what Kilo's agents would have written on the Node objects, and the
 * laptop as a Peer resource.
 * Source: kilo.md §2.1 (annotations), §3.2 (Peer), §4.6 (discovered endpoints).
 * @module
 */
import { type Address, cidr, parseAddress } from '../noise/ip.ts';
import type { MeshEndpoint, Node } from '../routing/node.ts';
import type { Peer } from '../routing/peer.ts';
import { buildTopology, type ClusterView, type Topology } from '../routing/topology.ts';
import { type LabPlan, LISTEN_PORT, NAT_KEEPALIVE, nodesOf, WIREGUARD_CIDR } from './plan.ts';

/** Public keys in base64, by node or client name. */
export type PublicKeys = Readonly<Record<string, string>>;

/** By the name of the node that reports: public key → where it was heard from. */
export type Discoveries = ReadonlyMap<string, ReadonlyMap<string, MeshEndpoint>>;

/** By node name: what its agent said of itself and of leaders. */
export type Sayings = ReadonlyMap<string, Pick<Node, 'abilities' | 'leaderClaim' | 'unreached'>>;

const address = (text: string): Address => {
  const parsed = parseAddress(text);
  if (parsed === null) throw new RangeError(`"${text}" is not an address`);
  return parsed;
};

const nothingDiscovered: ReadonlyMap<string, MeshEndpoint> = new Map();

/** All agents check in at `now` (Unix seconds). */
export function viewCluster(
  plan: LabPlan,
  keys: PublicKeys,
  discoveries: Discoveries,
  now: number,
  sayings: Sayings = new Map(),
): ClusterView {
  const nodes = nodesOf(plan).map(
    (node): Node => ({
      name: node.name,
      location: node.cloud,
      key: keys[node.name] ?? '',
      endpoint: { address: address(node.publicIP ?? node.privateIP), port: LISTEN_PORT },
      internalIP: cidr(`${node.privateIP}/24`),
      podCIDRs: [cidr(node.podCIDR)],
      leader: false,
      persistentKeepalive: node.keepalive,
      allowedLocationIPs: [],
      discoveredEndpoints: discoveries.get(node.name) ?? nothingDiscovered,
      lastSeen: now,
      ...sayings.get(node.name),
    }),
  );
  const laptop: Peer = {
    name: plan.laptop.name,
    key: keys[plan.laptop.name] ?? '',
    persistentKeepalive: NAT_KEEPALIVE,
    allowedIPs: [cidr(`${plan.laptop.ip}/32`)],
  };
  return { nodes, peers: [laptop], now };
}

/** The mesh as the agent of one node computes it. */
export const topologyOf = (plan: LabPlan, view: ClusterView, hostname: string): Topology =>
  buildTopology(view, {
    granularity: plan.options.granularity,
    subnet: cidr(WIREGUARD_CIDR),
    hostname,
  });
