/**
 * The way a packet takes through the mesh, hop by hop: which rule, route, tunnel and translation it meets on each host.
 * Each host is asked what it was programmed with, so this is what its kernel and device would do.
 * Source: ip-rule(8) (rules before the main table, the longest prefix wins), WireGuard paper §2 (cryptokey routing, both
 * ways), iptables(8) for POSTROUTING.
 * @module
 */

import { type Address, type Cidr, contains, sameAddress } from '../noise/ip.ts';
import type { Links } from './links.ts';
import { longestMatch } from './longest-prefix.ts';
import { desiredFilter, type FilterOptions, type FilterRule } from './nat.ts';
import { isDialable, type MeshEndpoint, privateAddressOf, type ReadyNode } from './node.ts';
import { desiredRoutes, MAIN_TABLE, type Plan, type Route, type RouteOptions, type Rule } from './routes.ts';
import type { MeshPeer, Segment, Topology } from './topology.ts';
import { tunnelledSegments, tunnelNetworks } from './wireguard-config.ts';

export interface PathOptions extends FilterOptions, RouteOptions {
  /** What the network under the mesh carries in one packet. */
  readonly underlayMtu: number;
}

export interface Packet {
  readonly source: Address;
  readonly destination: Address;
}

/** One step: a packet on a host, and how it leaves. */
export interface Hop {
  /** Node or Peer. */
  readonly at: string;
  readonly packet: Packet;
  readonly rule?: Rule;
  readonly route?: Route;
  /** `tunnel`: WireGuard; `wrapped`: IPIP, not encrypted; `plain`: as it is, by the private network. */
  readonly by: 'tunnel' | 'wrapped' | 'plain';
  readonly device: string;
  readonly to: string;
  /** Of the tunnel: whose key, where it is dialled (unknown: not before it calls), which allowed IP leads there. */
  readonly key?: string;
  readonly endpoint?: MeshEndpoint;
  readonly allowedIP?: Cidr;
  /** Its source becomes this one's. */
  readonly masqueradedAs?: Address;
  readonly mtu: number;
}

export type PathEnd =
  | { readonly kind: 'pod' | 'host' | 'peer' | 'location'; readonly at: string; readonly device: string }
  /** It leaves by a route that is none of the mesh's. */
  | { readonly kind: 'outside'; readonly at: string; readonly masquerades: boolean }
  | { readonly kind: 'dropped'; readonly at: string; readonly why: string };

export interface PacketPath {
  readonly hops: readonly Hop[];
  readonly end: PathEnd;
  /** The largest packet that passes whole. */
  readonly mtu: number;
}

const MOST_HOPS = 8;
/** IPv6, UDP and WireGuard's headers; Kilo subtracts as much for IPv4. */
const WIREGUARD_OVERHEAD = 80;
const IPIP_OVERHEAD = 20;

/** Answers the topology as a node sees it. */
export type Viewer = (name: string) => Topology;

/** Where a packet begins: with a node (a pod of it, or itself), or with a Peer. */
export type Origin =
  | { readonly kind: 'node'; readonly name: string }
  | { readonly kind: 'peer'; readonly name: string };

export const tracePacket = (
  view: Viewer,
  first: Topology,
  origin: Origin,
  packet: Packet,
  options: PathOptions,
): PacketPath => {
  const walk = new Walk(view, options);
  const end =
    origin.kind === 'peer' ? walk.fromPeer(first, origin.name, packet) : walk.from(origin.name, packet);
  return { hops: walk.hops, end, mtu: Math.min(options.underlayMtu, ...walk.hops.map(({ mtu }) => mtu)) };
};

class Walk {
  readonly hops: Hop[] = [];
  readonly #view: Viewer;
  readonly #options: PathOptions;
  readonly #links: Links;

  constructor(view: Viewer, options: PathOptions) {
    this.#view = view;
    this.#options = options;
    this.#links = options.links;
  }

  /** `arrivedBy`: the WireGuard link, when it came out of a tunnel. */
  from(name: string, packet: Packet, arrivedBy?: string): PathEnd {
    const topology = this.#view(name);
    const { destination } = packet;
    const here = endOn(topology, destination, this.#links);
    if (here !== null) return here;
    if (this.hops.length >= MOST_HOPS) return { kind: 'dropped', at: name, why: 'it goes round in a circle' };
    const plan = desiredRoutes(topology, this.#options);
    const rule = plan.rules.find((each) => matches(each, packet, arrivedBy));
    const route = lookUp(plan, packet, rule) ?? connectedRoute(topology, destination, this.#links);
    if (route === undefined) return this.#byNeighbour(topology, packet);
    const base = { at: name, ...(rule === undefined ? {} : { rule }), route, device: route.device };
    if (route.device !== this.#links.wireguard) {
      const next = memberAt(topology, route.via ?? destination, this.#options);
      const why = "no member has the gateway's address";
      if (next === undefined) return { kind: 'dropped', at: name, why };
      const wrapped = route.device === this.#links.tunnel;
      const leaving = this.#translated(topology, packet, route);
      this.hops.push({
        ...base,
        ...leaving,
        by: wrapped ? 'wrapped' : 'plain',
        to: next.name,
        mtu: this.#options.underlayMtu - (wrapped ? IPIP_OVERHEAD : 0),
      });
      return this.from(next.name, leaving.after);
    }
    return this.#byTunnel(topology, packet, base);
  }

  /** A Peer has a tunnel with every leader, and sends what is in its allowed IPs. */
  fromPeer(topology: Topology, name: string, packet: Packet): PathEnd {
    const ranges = topology.segments.flatMap((segment) =>
      [...segment.allowedIPs, ...segment.allowedLocationIPs].map((range) => ({ range, segment })),
    );
    const found = longestMatch(ranges, packet.destination, ({ range }) => range);
    const self = topology.peers.find((peer) => peer.name === name);
    if (found === undefined || self === undefined)
      return { kind: 'dropped', at: name, why: 'no node has the destination in its allowed IPs' };
    const { leader, endpointInForce } = found.segment;
    this.hops.push({
      at: name,
      packet,
      by: 'tunnel',
      device: 'WireGuard',
      to: leader.name,
      key: leader.key,
      endpoint: endpointInForce,
      allowedIP: found.range,
      mtu: this.#options.underlayMtu - WIREGUARD_OVERHEAD,
    });
    return this.#comeOut(leader.name, self.key, packet);
  }

  #byTunnel(
    topology: Topology,
    packet: Packet,
    base: Pick<Hop, 'at' | 'rule' | 'route' | 'device'> & { readonly route: Route },
  ): PathEnd {
    const found = tunnelTo(topology, packet.destination);
    const at = base.at;
    if (found === undefined)
      return { kind: 'dropped', at, why: 'no tunnel has the destination in its allowed IPs' };
    const { claimant, range } = found;
    const isSegment = 'leader' in claimant;
    const endpoint = claimant.endpointInForce;
    const leaving = this.#translated(topology, packet, base.route);
    this.hops.push({
      ...base,
      ...leaving,
      by: 'tunnel',
      to: isSegment ? claimant.leader.name : claimant.name,
      key: isSegment ? claimant.leader.key : claimant.key,
      ...(endpoint === undefined ? {} : { endpoint }),
      allowedIP: range,
      mtu: this.#options.underlayMtu - WIREGUARD_OVERHEAD,
    });
    if (isSegment && !isKnown(endpoint))
      return { kind: 'dropped', at, why: `the address of ${claimant.leader.name} is not known` };
    if (!isSegment) return { kind: 'peer', at: claimant.name, device: 'WireGuard' };
    return this.#comeOut(claimant.leader.name, topology.self.key, leaving.after);
  }

  /** What comes out of a tunnel must be from whom the tunnel is with. */
  #comeOut(name: string, senderKey: string, packet: Packet): PathEnd {
    const owner = tunnelTo(this.#view(name), packet.source)?.claimant;
    const key = owner === undefined ? undefined : 'leader' in owner ? owner.leader.key : owner.key;
    if (key !== senderKey)
      return { kind: 'dropped', at: name, why: "its source is not among the sender's allowed IPs" };
    return this.from(name, packet, this.#links.wireguard);
  }

  /** No route of the mesh: a neighbour on the private network, or away. */
  #byNeighbour(topology: Topology, packet: Packet): PathEnd {
    const { self } = topology;
    const { destination } = packet;
    const at = self.name;
    const neighbour = memberAt(topology, destination, { encapsulator: 'ipip' });
    const isNear = self.internalIP !== undefined && contains(self.internalIP, destination);
    if (neighbour !== undefined && isNear) {
      const device = this.#links.private ?? 'private';
      this.hops.push({ at, packet, by: 'plain', device, to: neighbour.name, mtu: this.#options.underlayMtu });
      return this.from(neighbour.name, packet);
    }
    if (topology.segment.allowedLocationIPs.some((range) => contains(range, destination)))
      return { kind: 'location', at, device: 'its own network' };
    return { kind: 'outside', at, masquerades: this.#isMasqueraded(topology, packet) };
  }

  #translated(topology: Topology, packet: Packet, route: Route) {
    if (!this.#isMasqueraded(topology, packet)) return { packet, after: packet };
    const source =
      route.source ??
      (route.device === this.#links.wireguard
        ? topology.segment.wireguardIP
        : privateAddressOf(topology.self)) ??
      packet.source;
    return { packet, masqueradedAs: source, after: { ...packet, source } };
  }

  /** POSTROUTING jumps to KILO-NAT, which lets known destinations return and masquerades the rest. */
  #isMasqueraded(topology: Topology, packet: Packet): boolean {
    const { prepend, append } = desiredFilter(topology, this.#options);
    const isHit = ({ source, destination }: FilterRule): boolean =>
      (source === undefined || contains(source, packet.source)) &&
      (destination === undefined || contains(destination, packet.destination));
    const rules = [...prepend, ...append].filter(
      (item) => item.kind === 'rule' && item.table === 'nat',
    ) as FilterRule[];
    const jumps = rules.some((rule) => rule.chain === 'POSTROUTING' && isHit(rule));
    const returns = rules.some(
      (rule) => rule.chain === 'KILO-NAT' && rule.verdict === 'RETURN' && isHit(rule),
    );
    return jumps && !returns;
  }
}

const isKnown = (endpoint: MeshEndpoint | undefined): boolean =>
  endpoint !== undefined && (endpoint.dns !== undefined || isDialable(endpoint));

/** Null when the packet goes on from there. */
const endOn = ({ self, segment, isLeader }: Topology, destination: Address, links: Links): PathEnd | null => {
  const at = self.name;
  const own = privateAddressOf(self);
  if (own !== null && sameAddress(own, destination))
    return { kind: 'host', at, device: links.private ?? 'private' };
  if (isLeader && sameAddress(segment.wireguardIP, destination))
    return { kind: 'host', at, device: links.wireguard };
  if (self.podCIDRs.some((range) => contains(range, destination)))
    return { kind: 'pod', at, device: 'kube-bridge' };
  return null;
};

const matches = ({ from, to, inputDevice }: Rule, packet: Packet, arrivedBy: string | undefined): boolean =>
  (from === undefined || contains(from, packet.source)) &&
  contains(to, packet.destination) &&
  (inputDevice === undefined || inputDevice === arrivedBy);

/** A rule's table goes before the main one, as long as it has a route. */
const lookUp = ({ routes }: Plan, { destination }: Packet, rule: Rule | undefined): Route | undefined => {
  const inTable = (table: number): Route | undefined =>
    longestMatch(
      routes.filter((route) => route.table === table),
      destination,
      (route) => route.destination,
    );
  return (rule === undefined ? undefined : inTable(rule.table)) ?? inTable(MAIN_TABLE);
};

/** The kernel's own, from the address on the WireGuard link: so leaders reach each other's mesh addresses. */
const connectedRoute = (
  { wireguardCIDR, subnet }: Topology,
  destination: Address,
  links: Links,
): Route | undefined =>
  wireguardCIDR === null || !contains(subnet, destination)
    ? undefined
    : {
        destination: subnet,
        device: links.wireguard,
        source: wireguardCIDR.address,
        onlink: false,
        table: MAIN_TABLE,
      };

const tunnelTo = (
  topology: Topology,
  address: Address,
): { readonly claimant: Segment | MeshPeer; readonly range: Cidr } | undefined => {
  const claimants = [...tunnelledSegments(topology), ...topology.peers];
  const ranges = claimants.flatMap((claimant) =>
    tunnelNetworks(topology, claimant).map((range) => ({ claimant, range })),
  );
  return longestMatch(ranges, address, ({ range }) => range);
};

/** The member of the viewer's place that answers for a gateway: by its private address, or by its overlay's. */
const memberAt = (
  topology: Topology,
  gateway: Address,
  { encapsulator = 'ipip' }: Pick<RouteOptions, 'encapsulator'>,
): ReadyNode | undefined => {
  const members = topology.segments
    .filter(({ nodeLocation }) => nodeLocation === topology.segment.nodeLocation)
    .flatMap((segment) => segment.members);
  return members.find((member) => {
    const own = privateAddressOf(member);
    if (own !== null && sameAddress(own, gateway)) return true;
    if (encapsulator === 'ipip') return false;
    const overlay = member.cniCompatibilityIP?.address;
    return (
      (overlay !== undefined && sameAddress(overlay, gateway)) ||
      member.podCIDRs.some((range) => contains(range, gateway))
    );
  });
};
