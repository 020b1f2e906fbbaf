/**
 * The routes of one host: what the topology asks for, fitted to what the host has.
 * Source: ip-route(8) (src, mtu), rtnetlink(7); Kilo's open --route-internal-ip.
 * @module
 */
import { contains, isIpv6, sameAddress } from '../../noise/ip.ts';
import type { Links } from '../../routing/links.ts';
import { privateAddressOf } from '../../routing/node.ts';
import { MAIN_TABLE, type Plan, type Route } from '../../routing/routes.ts';
import type { MeshPeer, Segment, Topology } from '../../routing/topology.ts';
import { tunnelledSegments } from '../../routing/wireguard-config.ts';
import { automaticMtu, type HostLinks } from './links.ts';
import { innerMtu, type PathMtus } from './path-mtu.ts';

/**
 * Of the family of which this node has no private address it has one among its pods: what it says itself must come from
 * there, since nobody takes anything else out of the tunnel.
 */
export const fromOwnPods = (route: Route, { self }: Topology, host: HostLinks, links: Links): Route => {
  const { length } = route.destination.address;
  if (route.device !== links.wireguard || route.source !== undefined || length === 4) return route;
  const pods = self.podCIDRs.find(({ address }) => address.length === length);
  const own = pods && host.addresses.find(({ cidr }) => contains(pods, cidr.address));
  return own === undefined ? route : { ...route, source: own.cidr.address };
};

/** --route-internal-ip=false: private addresses of other nodes are not reached through the mesh. */
export const withoutPrivate = (plan: Plan, topology: Topology, links: Links): Plan => {
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

/** What the way under each tunnel carries, where it is less than the link says; the ways are asked by and by. */
export const tunnelMtus = (topology: Topology, host: HostLinks, paths: PathMtus, mtu: number | null) => {
  const tunnels = topology.isLeader ? [...tunnelledSegments(topology), ...topology.peers] : [];
  paths.ask(
    tunnels.flatMap(({ endpointInForce: end }) =>
      end?.address === undefined ? [] : [{ address: end.address, port: end.port }],
    ),
    host,
    performance.now(),
  );
  const linkMtu = mtu ?? automaticMtu(host);
  return ({ endpointInForce }: Segment | MeshPeer): number | undefined => {
    const address = endpointInForce?.address;
    const path = address && paths.to(address);
    if (address === undefined || path === undefined) return undefined;
    const inner = innerMtu(path, isIpv6(address) ? 6 : 4);
    return inner < linkMtu ? inner : undefined;
  };
};
