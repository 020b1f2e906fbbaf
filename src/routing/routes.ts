/**
 * Routes and policy rules a host needs, as values.
 * Source: Kilo's routes (behaviour of its agent for leaders and others, table 1107), rtnetlink(7) for the fields.
 * @module
 */

import {
  type Address,
  type Cidr,
  contains,
  hostCidr,
  isIpv6,
  network,
  sameAddress,
  sameCidr,
} from '../noise/ip.ts';
import { hasTunnel } from './claims.ts';
import { neighbourGateway } from './dual-stack.ts';
import { networkKey } from './ip-prefix.ts';
import { type Encapsulation, type Encapsulator, gatewayOf, type Links } from './links.ts';
import { podCIDROf, privateAddressOf } from './node.ts';
import { areCoLocated, type MeshPeer, type Segment, type Topology } from './topology.ts';

/** Kilo's routing table for packets that would otherwise leave without being wrapped. */
export const KILO_TABLE = 1107;
/** RT_TABLE_MAIN. */
export const MAIN_TABLE = 254;
/** RTPROT_STATIC: how Kilo marks its routes. */
export const ROUTE_PROTOCOL = 4;

export interface Route {
  readonly destination: Cidr;
  readonly via?: Address;
  readonly device: string;
  /** Preferred source address (RTA_PREFSRC). */
  readonly source?: Address;
  /** The gateway is reachable on the link although no address says so (RTNH_F_ONLINK). */
  readonly onlink: boolean;
  readonly table: number;
  /** Smaller than the link's: the way under this tunnel carries no more (RTAX_MTU). */
  readonly mtu?: number;
}

export interface Rule {
  readonly from?: Cidr;
  readonly to: Cidr;
  /** Only packets that came in by this link (FRA_IIFNAME). */
  readonly inputDevice?: string;
  readonly table: number;
}

export interface Plan {
  readonly routes: readonly Route[];
  readonly rules: readonly Rule[];
}

export interface RouteOptions {
  readonly links: Links;
  /** Default `always`. */
  readonly encapsulation?: Encapsulation;
  /** Default `ipip`. */
  readonly encapsulator?: Encapsulator;
  /** Route between nodes of one location; false leaves that to another network plugin. Default true. */
  readonly local?: boolean;
  /** What fits into the tunnel with a member, where that is less than its link's. */
  readonly tunnelMtu?: (claimant: Segment | MeshPeer) => number | undefined;
}

/** What a host shall hold: what Kilo asks for, as far as a kernel can keep it and its owner has a right to it. */
export const desiredRoutes = (topology: Topology, options: RouteOptions): Plan => {
  const { wanted, rules } = plan(topology, options);
  const { claims } = topology;
  const own = ownNetworks(topology);
  const kept = new Map<string, Route>();
  for (const { route, claimant } of wanted) {
    if (route.device === options.links.wireguard && !hasTunnel(topology, claimant)) continue;
    if (!claims.holds(claimant, route.destination)) continue;
    // Every node would lose its own way out; the tunnel still accepts such a Peer's packets.
    if (route.destination.prefix === 0) continue;
    // Another member's slip must not turn away what a host reaches by itself: a route would replace its own.
    const destination = network(route.destination);
    if (own.some((cidr) => sameCidr(cidr, destination))) continue;
    // A neighbour that says it has this host's private address is no way to anywhere, and kernels refuse it.
    if (route.via !== undefined && isOwn(topology, route.via)) continue;
    // One table holds one route for a destination, and refuses host bits (EINVAL).
    const key = `${route.table} ${networkKey(destination)}`;
    if (kept.has(key)) continue;
    // What carries less beyond a relay is the relay's to say.
    const tunnel = ('leader' in claimant ? topology.relays.get(claimant) : undefined) ?? claimant;
    const mtu = route.device === options.links.wireguard ? options.tunnelMtu?.(tunnel) : undefined;
    kept.set(key, { ...route, destination, ...(mtu === undefined ? {} : { mtu }) });
  }
  return { routes: [...kept.values()], rules };
};

const isOwn = ({ self }: Topology, address: Address): boolean => {
  const own = privateAddressOf(self);
  return own !== null && sameAddress(own, address);
};

/** What Kilo asks for, in its order and with its texts: host bits and repeated destinations too. */
export const kiloRoutes = (topology: Topology, options: RouteOptions): Plan => {
  const { wanted, rules } = plan(topology, options);
  return { routes: wanted.map(({ route }) => route), rules };
};

interface Wanted {
  readonly route: Route;
  /** Whose destination it is. */
  readonly claimant: Segment | MeshPeer;
}

const plan = (topology: Topology, options: RouteOptions) => {
  const planner = new RoutePlanner(topology, options);
  if (topology.isLeader) planner.planLeader();
  else planner.planFollower();
  return planner;
};

/** What the host reaches without the mesh: its pods, itself, its private network, the mesh's own link. */
const ownNetworks = ({ self, subnet }: Topology): Cidr[] => {
  const own = [...self.podCIDRs.map(network), subnet];
  if (self.internalIP !== undefined) own.push(hostCidr(self.internalIP.address), network(self.internalIP));
  return own;
};

class RoutePlanner {
  readonly wanted: Wanted[] = [];
  readonly rules: Rule[] = [];
  readonly #topology: Topology;
  readonly #links: Links;
  readonly #encapsulation: Encapsulation;
  readonly #encapsulator: Encapsulator;
  readonly #local: boolean;

  constructor(topology: Topology, options: RouteOptions) {
    this.#topology = topology;
    this.#links = options.links;
    this.#encapsulation = options.encapsulation ?? 'always';
    this.#encapsulator = options.encapsulator ?? 'ipip';
    this.#local = options.local ?? true;
  }

  /** A leader has the tunnels: other segments and Peers by WireGuard, its own members on the private network. */
  planLeader(): void {
    const { segment: own, segments, peers } = this.#topology;
    for (const segment of segments) {
      if (segment === own || areCoLocated(segment, own)) {
        if (this.#local) this.#addMembers(segment);
        else this.#addReturnPath(segment);
      } else {
        this.#addTunnelled(segment);
      }
    }
    for (const peer of peers)
      for (const destination of peer.allowedIPs)
        this.#add(peer, { ...this.#wireguard(destination), onlink: false });
  }

  /** Everyone else hands to its leader what is not for a neighbour. */
  planFollower(): void {
    const { segment: own, segments, peers } = this.#topology;
    const gateway = gatewayOf(own.leader, this.#encapsulator);
    if (gateway === null) return;
    const byLeader = (claimant: Segment | MeshPeer, destination: Cidr): void => {
      const via = this.#isForeign(destination) ? neighbourGateway(own.leader, destination) : gateway;
      if (via !== null) this.#addPrivate(claimant, destination, via);
    };
    for (const segment of segments) {
      byLeader(segment, hostCidr(segment.wireguardIP));
      if (segment === own) {
        if (this.#local) this.#addMembers(segment);
        continue;
      }
      for (const cidr of podCIDRsOf(segment)) byLeader(segment, cidr);
      for (const address of privateAddresses(segment)) byLeader(segment, hostCidr(address));
      for (const cidr of segment.allowedLocationIPs) byLeader(segment, cidr);
    }
    for (const peer of peers) for (const cidr of peer.allowedIPs) byLeader(peer, cidr);
  }

  #addTunnelled(segment: Segment): void {
    const via = segment.wireguardIP;
    const add = (destination: Cidr): void =>
      this.#add(segment, {
        ...this.#wireguard(destination),
        // A gateway of the other family is none; the device finds the tunnel by itself.
        ...(isOneFamily(destination.address, via) ? { via } : { onlink: false }),
      });
    const endpoint = segment.endpointInForce.address;
    for (const member of segment.members) {
      add(podCIDROf(member));
      const address = privateAddressOf(member);
      // A route to the endpoint itself would send the tunnel's own datagrams into the tunnel.
      if (address !== null && !(endpoint !== undefined && sameAddress(endpoint, address)))
        add(hostCidr(address));
      for (const cidr of member.podCIDRs.slice(1)) add(cidr);
    }
    for (const cidr of segment.allowedLocationIPs) add(cidr);
  }

  /** Neighbours: their pods by their private address, and that address wrapped for packets of our pods. */
  #addMembers(segment: Segment): void {
    const { self, isLeader } = this.#topology;
    const own = privateAddressOf(self);
    if (own === null) return;
    for (const member of segment.members) {
      const address = privateAddressOf(member);
      if (member === self || address === null) continue;
      for (const cidr of member.podCIDRs) {
        const via = neighbourGateway(member, cidr);
        if (via !== null) this.#addPrivate(segment, cidr, via);
      }
      if (!this.#isWrapped(address)) continue;
      const destination = hostCidr(address);
      const device = this.#links.tunnel;
      this.#add(segment, { destination, via: address, device, source: own, onlink: true, table: KILO_TABLE });
      this.rules.push({ from: podCIDROf(self), to: destination, table: KILO_TABLE });
      if (isLeader) this.#addInputRule(destination);
    }
  }

  /** Where another plugin joins the location, what comes out of the tunnel must return by its overlay. */
  #addReturnPath(segment: Segment): void {
    const { self } = this.#topology;
    if (privateAddressOf(self) === null || this.#encapsulation === 'never') return;
    for (const member of segment.members) {
      const address = privateAddressOf(member);
      const via = gatewayOf(member, this.#encapsulator);
      if (member === self || address === null || via === null || sameAddress(via, address)) continue;
      const destination = hostCidr(address);
      this.#add(segment, { destination, via, device: this.#links.tunnel, onlink: true, table: KILO_TABLE });
      this.#addInputRule(destination);
    }
  }

  #addInputRule(to: Cidr): void {
    this.rules.push({ to, inputDevice: this.#links.wireguard, table: KILO_TABLE });
  }

  #addPrivate(claimant: Segment | MeshPeer, destination: Cidr, via: Address): void {
    const source = privateAddressOf(this.#topology.self);
    if (this.#isWrapped(via) && source !== null) {
      const device = this.#links.tunnel;
      this.#add(claimant, { destination, via, device, source, onlink: true, table: MAIN_TABLE });
    } else if (this.#links.private !== null) {
      const device = this.#links.private;
      this.#add(claimant, { destination, via, device, onlink: true, table: MAIN_TABLE });
    }
  }

  /** The source is the private address: clouds drop what comes from an address they did not give. */
  #wireguard(destination: Cidr): Route {
    const source = privateAddressOf(this.#topology.self);
    const route = { destination, device: this.#links.wireguard, onlink: true, table: MAIN_TABLE };
    return source === null || !isOneFamily(source, destination.address) ? route : { ...route, source };
  }

  /** Of the other family than the private address: no overlay's gateway answers for it. */
  #isForeign({ address }: Cidr): boolean {
    const own = privateAddressOf(this.#topology.self);
    return own !== null && !isOneFamily(own, address);
  }

  /** IPIP is IPv4 in IPv4. */
  #isWrapped(gateway: Address): boolean {
    if (isIpv6(gateway)) return false;
    if (this.#encapsulation !== 'crosssubnet') return this.#encapsulation === 'always';
    const network = this.#topology.self.internalIP;
    return network !== undefined && !contains(network, gateway);
  }

  #add(claimant: Segment | MeshPeer, route: Route): void {
    this.wanted.push({ route, claimant });
  }
}

const isOneFamily = (a: Address, b: Address): boolean => a.length === b.length;

const podCIDRsOf = ({ members }: Segment): Cidr[] => members.flatMap(({ podCIDRs }) => podCIDRs);

const privateAddresses = (segment: Segment): Address[] =>
  segment.members.flatMap((member) => privateAddressOf(member) ?? []);
