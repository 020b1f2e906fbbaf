/**
 * The routes and the packet filter of one host: what the topology asks for, fitted to what the host has.
 * Source: ip-route(8) (src, mtu), rtnetlink(7); Kilo's open --route-internal-ip.
 * @module
 */
import { contains, formatAddress, isIpv6, sameAddress } from '../../noise/ip.ts';
import type { Links } from '../../routing/links.ts';
import { desiredFilter, type Filter } from '../../routing/nat.ts';
import { privateAddressOf } from '../../routing/node.ts';
import { desiredRoutes, MAIN_TABLE, type Plan, type Route } from '../../routing/routes.ts';
import type { MeshPeer, Segment, Topology } from '../../routing/topology.ts';
import { tunnelledSegments } from '../../routing/wireguard-config.ts';
import type { Fault } from '../faults.ts';
import type { AgentOptions } from '../options.ts';
import { automaticMtu, type HostLinks, hasAddress, linkOfAddress } from './links.ts';
import { innerMtu, type PathEnd, type PathMtus } from './path-mtu.ts';

/**
 * Of the family of which this node has no private address it has one among its pods: what it says itself must come from
 * there, since nobody takes anything else out of the tunnel.
 */
const fromOwnPods = (route: Route, { self }: Topology, host: HostLinks, links: Links): Route => {
  const { length } = route.destination.address;
  if (route.device !== links.wireguard || route.source !== undefined || length === 4) return route;
  const pods = self.podCIDRs.find(({ address }) => address.length === length);
  const own = pods && host.addresses.find(({ cidr }) => contains(pods, cidr.address));
  return own === undefined ? route : { ...route, source: own.cidr.address };
};

/** --route-internal-ip=false: private addresses of other nodes are not reached through the mesh. */
const withoutPrivate = (plan: Plan, topology: Topology, links: Links): Plan => {
  const addresses = topology.segments
    .flatMap(({ members }) => members)
    .flatMap((member) => privateAddressOf(member) ?? []);
  const isPrivate = ({ destination, table, device }: Plan['routes'][number]): boolean =>
    table === MAIN_TABLE &&
    device !== links.private &&
    destination.prefix === destination.address.length * 8 &&
    addresses.some((address) => sameAddress(address, destination.address));
  return { ...plan, routes: plan.routes.filter((route) => !isPrivate(route)) };
};

/** What a host shall be, and what that was made of. */
export interface HostPlan {
  readonly topology: Topology;
  readonly host: HostLinks;
  /** Of what is known of the ways under the tunnels. */
  readonly revision: number;
  readonly links: Links;
  readonly plan: Plan;
  readonly filter: Filter;
  readonly faults: readonly Fault[];
}

export class HostPlanner {
  readonly #options: AgentOptions;
  readonly #paths: PathMtus;
  #ends: { readonly topology: Topology; readonly ends: readonly PathEnd[] } | null = null;
  #last: HostPlan | null = null;

  constructor(options: AgentOptions, paths: PathMtus) {
    this.#options = options;
    this.#paths = paths;
  }

  /** The very same for as long as mesh, host and the ways under the tunnels are; the ways are asked by and by. */
  of(topology: Topology, host: HostLinks): HostPlan {
    if (this.#ends?.topology !== topology) this.#ends = { topology, ends: endsOf(topology) };
    this.#paths.ask(this.#ends.ends, host, performance.now());
    const { revision } = this.#paths;
    const last = this.#last;
    if (last?.topology === topology && last.host === host && last.revision === revision) return last;
    const links = linksFor(this.#options, host, topology);
    const filter = last?.topology === topology ? last.filter : filterFor(this.#options, topology);
    const faults: Fault[] = [];
    const plan = this.#planFor(topology, host, links, faults);
    this.#last = { topology, host, revision, links, plan, filter, faults };
    return this.#last;
  }

  /** Routes whose source address the host does not have would be refused, all of them: they go without. */
  #planFor(topology: Topology, host: HostLinks, links: Links, faults: Fault[]): Plan {
    const { encapsulation, encapsulator, local, routeInternalIPs } = this.#options;
    const tunnelMtu = this.#tunnelMtus(host);
    const asked = desiredRoutes(topology, { links, encapsulation, encapsulator, local, tunnelMtu });
    const whole = {
      ...asked,
      routes: asked.routes.map((route) => fromOwnPods(route, topology, host, links)),
    };
    const plan = routeInternalIPs ? whole : withoutPrivate(whole, topology, links);
    const own = privateAddressOf(topology.self);
    if (own === null || hasAddress(host, own)) return plan;
    faults.push({
      code: 'internal-ip-not-on-host',
      subject: { kind: 'node', name: topology.self.name },
      message: `The private address ${formatAddress(own)} of this node is on none of its links: packets over the tunnel leave with another source.`,
    });
    const routes = plan.routes.map(({ source: _, ...route }) => route);
    return { ...plan, routes };
  }

  /** What the way under each tunnel carries, where it is less than the link says. */
  #tunnelMtus(host: HostLinks) {
    const linkMtu = this.#options.mtu ?? automaticMtu(host);
    return ({ endpointInForce }: Segment | MeshPeer): number | undefined => {
      const address = endpointInForce?.address;
      const path = address && this.#paths.to(address);
      if (address === undefined || path === undefined) return undefined;
      const inner = innerMtu(path, isIpv6(address) ? 6 : 4);
      return inner < linkMtu ? inner : undefined;
    };
  }
}

/** The other ends of the tunnels. */
const endsOf = (topology: Topology): PathEnd[] => {
  const tunnels = topology.isLeader ? [...tunnelledSegments(topology), ...topology.peers] : [];
  return tunnels.flatMap(({ endpointInForce: end }) =>
    end?.address === undefined
      ? []
      : [{ address: end.address, port: end.port, key: formatAddress(end.address) }],
  );
};

/** The names in use on this host at this moment. */
export const linksFor = (options: AgentOptions, host: HostLinks, topology: Topology): Links => {
  const own = privateAddressOf(topology.self);
  return {
    wireguard: options.interfaceName,
    private: own === null ? null : (linkOfAddress(host, own)?.name ?? null),
    tunnel: tunnelName(options, host),
  };
};

export const tunnelName = ({ encapsulator }: AgentOptions, host: HostLinks): string => {
  if (encapsulator === 'flannel') return 'flannel.1';
  return encapsulator === 'cilium' && host.byName.has('cilium_tunl') ? 'cilium_tunl' : 'tunl0';
};

const filterFor = (options: AgentOptions, topology: Topology): Filter => {
  const { append, prepend } = desiredFilter(topology, {
    serviceCIDRs: options.serviceCIDRs,
    cni: options.cniPath !== null,
    forwardRules: options.forwardRules,
    local: options.local,
    encapsulation: options.encapsulation,
    encapsulator: options.encapsulator,
    wireguard: options.interfaceName,
  });
  const kept = options.dropOtherIpip
    ? append
    : append.filter((item) => item.kind === 'chain' || item.chain !== 'INPUT' || item.verdict !== 'DROP');
  return { append: kept, prepend };
};
