/**
 * The mesh as a value: who is grouped with whom, who leads, which address each group has, what it may send.
 * Every agent computes it alone from the same records, so everything here is sorted before it is counted.
 * Source: Kilo's topology (docs/topology.md, and its agent's behaviour for grouping, election and allocation).
 * @module
 */

import { type Address, type Cidr, formatCidr, hostCidr, network } from '../noise/ip.ts';
import { type DraftSegment, filterAllowedLocationIPs } from './allowed-location-ips.ts';
import { type Claims, claimNetworks } from './claims.ts';
import { withoutIpv6Way } from './dual-stack.ts';
import { hostBits } from './host-bits.ts';
import { isPublic } from './ip-prefix.ts';
import { electLeader, type LeaderClaim, whyLeads, withoutFailover } from './leader.ts';
import {
  type Granularity,
  isDialable,
  isReadyNode,
  type MeshEndpoint,
  type Node,
  type ReadyNode,
  whyNotReady,
} from './node.ts';
import { type Peer, sortPeers, whyPeerNotReady, withoutRepeatedIPs } from './peer.ts';
import type { Problem } from './problem.ts';
import { type ApartSegments, apartProblems, apartSegments, relaysOf } from './relays.ts';
import { repetitions, withoutRivals } from './rivals.ts';
import { RoutingError } from './routing-error.ts';
import { segmentAddresses } from './stable-addresses.ts';
import { byName, compareText } from './text-order.ts';

/** What is known of the cluster at one moment. */
export interface ClusterView {
  readonly nodes: readonly Node[];
  readonly peers: readonly Peer[];
  /** Unix seconds; decides whose heart-beat is too old. */
  readonly now: number;
}

export interface TopologyOptions {
  readonly granularity: Granularity;
  /** Pool of mesh addresses, the same on every node; Kilo's default is 10.4.0.0/16. */
  readonly subnet: Cidr;
  /** The node to look from; without it the first ready one, for who only wants to draw or print the mesh. */
  readonly hostname?: string;
}

/** Nodes that share one mesh address, reached through their leader. */
export interface Segment {
  /** `location:<name>` or `node:<name>`; segments are sorted by it. */
  readonly location: string;
  /** Nodes with the same one reach each other without WireGuard; only in `cross` does it differ from `location`. */
  readonly nodeLocation: string;
  readonly leader: ReadyNode;
  /** By which it leads; absent where Kilo's rule made it the leader. */
  readonly claim?: LeaderClaim;
  /** By name, the leader among them. */
  readonly members: readonly ReadyNode[];
  readonly wireguardIP: Address;
  /** Per member pod CIDR and private IP, then the mesh address. */
  readonly allowedIPs: readonly Cidr[];
  /** Further ranges behind its members, after the filter. */
  readonly allowedLocationIPs: readonly Cidr[];
  /** The leader's endpoint, or where it was last heard from when it is known to roam. */
  readonly endpointInForce: MeshEndpoint;
}

/** A Peer with the allowed IPs left to it and the endpoint to dial. */
export interface MeshPeer extends Peer {
  readonly endpointInForce?: MeshEndpoint;
}

export interface Topology {
  readonly granularity: Granularity;
  readonly subnet: Cidr;
  /** The viewer. */
  readonly self: ReadyNode;
  /** The viewer's segment. */
  readonly segment: Segment;
  readonly isLeader: boolean;
  /** Whether members may claim the lead of their segment, since all agents know how; else Kilo's rule decides alone. */
  readonly claimsCount: boolean;
  /** The viewer's address on the WireGuard link with the pool's prefix; null when it does not lead. */
  readonly wireguardCIDR: Cidr | null;
  readonly segments: readonly Segment[];
  readonly peers: readonly MeshPeer[];
  /** Who holds each network when several claim it. */
  readonly claims: Claims;
  /** Segments that do not reach each other, and who passes on what they send. */
  readonly apart: readonly ApartSegments[];
  /** Of those, whom the viewer's segment reaches through whom. */
  readonly relays: ReadonlyMap<Segment, Segment>;
  readonly problems: readonly Problem[];
}

export const buildTopology = (view: ClusterView, options: TopologyOptions): Topology => {
  const problems: Problem[] = [];
  const nodes = withoutRivals(readyNodes(view, problems), problems);
  const self = viewer(view, nodes, options.hostname, problems);
  const ready = view.peers.filter((peer) => {
    const why = whyPeerNotReady(peer);
    if (why !== null) problems.push(peerNotReady(peer, why));
    return why === null;
  });
  const peers = withoutRepeatedIPs(sortPeers(ready));

  const claimsCount = options.granularity === 'location' && withoutFailover(nodes).length === 0;
  const drafts = groupNodes(nodes, options.granularity, claimsCount);
  const addresses = segmentAddresses(drafts, view.nodes, options.subnet, problems);
  const placed = allocateAddresses(drafts, addresses, options.subnet, peers, problems);
  const discovered = discoveredEndpoints(self, placed);
  const segments = placed.map(
    (draft): Segment => ({
      location: draft.location,
      nodeLocation: draft.nodeLocation,
      leader: draft.leader,
      ...(claimsCount ? inForce(draft) : {}),
      members: draft.members,
      wireguardIP: draft.wireguardIP,
      allowedIPs: draft.allowedIPs,
      allowedLocationIPs: draft.allowedLocationIPs,
      endpointInForce: roaming(draft.leader, discovered) ?? draft.leader.endpoint,
    }),
  );
  const meshPeers = peers.map((peer): MeshPeer => {
    const endpoint = roaming(peer, discovered) ?? peer.endpoint;
    return endpoint === undefined ? peer : { ...peer, endpointInForce: endpoint };
  });

  const segment = segments.find((candidate) => candidate.members.includes(self));
  if (segment === undefined) {
    throw new RoutingError(
      'ERR_SUBNET_EXHAUSTED',
      `The pool ${formatCidr(options.subnet)} has no address left for node "${self.name}": give every agent a larger --subnet.`,
    );
  }
  const isLeader = segment.leader === self;
  const claims = claimNetworks(segments, meshPeers, problems);
  problems.push(...repetitions(segments), ...hostBits(nodes, meshPeers));
  problems.push(...withoutIpv6Way(neighbours(segments)), ...segments.flatMap(replaced));
  const apart = apartSegments(segments, { areNear: areCoLocated, hasTunnels: claims.ownsKey });
  problems.push(...apartProblems(apart));
  return {
    granularity: options.granularity,
    subnet: network(options.subnet),
    self,
    segment,
    isLeader,
    claimsCount,
    wireguardCIDR: isLeader ? { address: segment.wireguardIP, prefix: options.subnet.prefix } : null,
    segments,
    peers: meshPeers,
    claims,
    apart,
    relays: relaysOf(apart, segment),
    problems: problems.toSorted(bySubject),
  };
};

/**
 * Whether two segments reach each other on their private network, without a tunnel. Both need a private
 * address: one that has none can only be reached through WireGuard.
 */
export const areCoLocated = (a: Segment, b: Segment): boolean =>
  a.nodeLocation === b.nodeLocation && a.leader.internalIP !== undefined && b.leader.internalIP !== undefined;

/** Nodes that reach each other on a private network, together. */
const neighbours = (segments: readonly Segment[]): ReadyNode[][] => {
  const groups = new Map<string, ReadyNode[]>();
  for (const { nodeLocation, leader, members } of segments) {
    if (leader.internalIP === undefined) continue;
    const group = groups.get(nodeLocation);
    if (group === undefined) groups.set(nodeLocation, [...members]);
    else group.push(...members);
  }
  return [...groups.values()];
};

/** The nodes that take part, by name, each name once. */
const readyNodes = (view: ClusterView, problems: Problem[]): ReadyNode[] => {
  const nodes: ReadyNode[] = [];
  for (const node of view.nodes.toSorted((a, b) => byName(a, b) || compareText(a.key, b.key))) {
    const subject = { kind: 'node', name: node.name } as const;
    if (!isReadyNode(node, view.now)) problems.push(nodeNotReady(node, view.now));
    else if (nodes.at(-1)?.name === node.name) {
      const message = `Node "${node.name}" was given twice: the record with the smaller key is used.`;
      problems.push({ code: 'node-repeated', subject, message });
    } else {
      nodes.push(node);
    }
  }
  return nodes;
};

/** The one problem that reads differently at another moment. */
export const nodeNotReady = (node: Node, now: number): Problem => ({
  code: 'node-not-ready',
  subject: { kind: 'node', name: node.name },
  message: `Node "${node.name}" is left out: ${whyNotReady(node, now) ?? ''}.`,
});

const peerNotReady = (peer: Peer, why: string): Problem => ({
  code: 'peer-not-ready',
  subject: { kind: 'peer', name: peer.name },
  message: `Peer "${peer.name}" is left out: ${why}.`,
});

const viewer = (
  view: ClusterView,
  nodes: readonly ReadyNode[],
  hostname: string | undefined,
  problems: readonly Problem[],
): ReadyNode => {
  if (hostname === undefined) {
    const first = nodes[0];
    if (first !== undefined) return first;
    throw new RoutingError('ERR_NO_READY_NODE', 'did not find any valid Kilo nodes in the cluster');
  }
  const self = nodes.find((node) => node.name === hostname);
  if (self !== undefined) return self;
  const known = view.nodes.find((node) => node.name === hostname);
  if (known === undefined) {
    throw new RoutingError('ERR_UNKNOWN_NODE', `did not find any node named "${hostname}" in the cluster`);
  }
  const why = whyNotReady(known, view.now);
  const told = problems.find(({ subject }) => subject.kind === 'node' && subject.name === hostname);
  const message = `Node "${hostname}" cannot join the mesh: ${why}.`;
  throw new RoutingError('ERR_NODE_NOT_READY', why === null ? (told?.message ?? message) : message);
};

/** Segments by key, members by name. A node without a private address cannot be reached by a neighbour. */
const groupNodes = (
  nodes: readonly ReadyNode[],
  granularity: Granularity,
  claimsCount: boolean,
): DraftSegment[] => {
  const groups = new Map<string, [ReadyNode, ...ReadyNode[]]>();
  for (const node of nodes) {
    const key =
      granularity === 'location' && node.internalIP !== undefined
        ? `location:${node.location}`
        : `node:${node.name}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [node]);
    else group.push(node);
  }
  return [...groups]
    .toSorted(([a], [b]) => compareText(a, b))
    .map(([location, members]) => ({
      location,
      nodeLocation: granularity === 'cross' ? `location:${members[0].location}` : location,
      leader: electLeader(members, claimsCount ? location : undefined),
      members,
      allowedIPs: members.flatMap(({ podCIDRs: [pods, ...further], internalIP }) => [
        pods,
        ...(internalIP === undefined ? [] : [hostCidr(internalIP.address)]),
        // Kilo knows the first range only.
        ...further,
      ]),
      allowedLocationIPs: declaredLocationIPs(members),
    }));
};

const inForce = ({ leader, location }: DraftSegment): Pick<Segment, 'claim'> =>
  leader.leaderClaim?.segment === location ? { claim: leader.leaderClaim } : {};

const replaced = ({ location, leader, members, claim }: Segment): Problem[] => {
  if (claim === undefined || claim.why === 'first') return [];
  const message = `"${leader.name}" leads "${location}" ${whyLeads(leader, members, claim)}.`;
  return [{ code: 'leader-replaced', subject: { kind: 'node', name: claim.instead }, message }];
};

/** The union over the members, each text once, sorted by text. */
const declaredLocationIPs = (members: readonly ReadyNode[]): Cidr[] => {
  const byText = new Map<string, Cidr>();
  for (const node of members) for (const cidr of node.allowedLocationIPs) byText.set(formatCidr(cidr), cidr);
  return [...byText].toSorted(([a], [b]) => compareText(a, b)).map(([, cidr]) => cidr);
};

const allocateAddresses = (
  drafts: readonly DraftSegment[],
  addresses: readonly (Address | null)[],
  subnet: Cidr,
  peers: readonly Peer[],
  problems: Problem[],
): (DraftSegment & { readonly wireguardIP: Address })[] => {
  const placed: (DraftSegment & { readonly wireguardIP: Address })[] = [];
  for (const [index, draft] of drafts.entries()) {
    const wireguardIP = addresses[index];
    if (wireguardIP == null) {
      const message = `Segment "${draft.location}" is left out: ${formatCidr(subnet)} has no address for it.`;
      problems.push({
        code: 'subnet-exhausted',
        subject: { kind: 'segment', name: draft.location },
        message,
      });
      continue;
    }
    placed.push({ ...draft, wireguardIP, allowedIPs: [...draft.allowedIPs, hostCidr(wireguardIP)] });
  }
  filterAllowedLocationIPs(placed, peers, problems);
  return placed;
};

/**
 * Answers where a key was last heard: the viewer's own discovery first, then the others in segment order, of which a public
 * address counts more: a neighbour in the same private network has heard it where nobody else can dial it.
 */
const discoveredEndpoints = (self: ReadyNode, segments: readonly DraftSegment[]) => {
  const reporters = [self, ...segments.flatMap((segment) => segment.members)].filter(
    (node) => node.discoveredEndpoints.size > 0,
  );
  return (key: string): MeshEndpoint | undefined => {
    let neighbours: MeshEndpoint | undefined;
    for (const node of reporters) {
      const endpoint = node.discoveredEndpoints.get(key);
      if (endpoint === undefined || !isDialable(endpoint)) continue;
      if (node === self || (endpoint.address !== undefined && isPublic(endpoint.address))) return endpoint;
      neighbours ??= endpoint;
    }
    return neighbours;
  };
};

/** Only who keeps a NAT open by keepalives is known to roam; all others stay where they were declared. */
const roaming = (
  owner: ReadyNode | Peer,
  discovered: (key: string) => MeshEndpoint | undefined,
): MeshEndpoint | undefined => (owner.persistentKeepalive > 0 ? discovered(owner.key) : undefined);

const bySubject = (a: Problem, b: Problem): number =>
  compareText(a.subject.kind, b.subject.kind) ||
  compareText(a.subject.name, b.subject.name) ||
  compareText(a.message, b.message);
