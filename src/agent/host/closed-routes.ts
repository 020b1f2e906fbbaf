/**
 * What keeps pods' packets from leaving in clear when the device is dead: its routes go with its link, and the default route
 * would take them. A route of the worst metric, to nowhere, stands behind each route to pods through a tunnel; while that one
 * stands, it is never looked at.
 * Source: rtnetlink(7) (RTN_UNREACHABLE, RTA_PRIORITY). Kilo has nothing like it, and neither lists nor touches these.
 * @module
 */
import type { Request } from '../../linux/netlink.ts';
import { deleteRoute, type NewRoute, PROTOCOL_STATIC, replaceRoute, TABLE_MAIN } from '../../linux/route.ts';
import type { RouteBytes } from '../../linux/route-bytes.ts';
import { type Cidr, formatCidr } from '../../noise/ip.ts';
import { networkKey } from '../../routing/ip-prefix.ts';
import type { Plan } from '../../routing/routes.ts';
import type { Topology } from '../../routing/topology.ts';

/** Worse than any other program's, and by it they are known again. */
export const CLOSED_METRIC = 4_200_001_107;

/** The pods' ranges among the destinations of the device. */
export const closedNetworks = (topology: Topology, plan: Plan, device: string): readonly Cidr[] => {
  const pods = new Set<string>();
  for (const { members } of topology.segments)
    for (const { podCIDRs } of members) for (const cidr of podCIDRs) pods.add(networkKey(cidr));
  const closed: Cidr[] = [];
  for (const { destination, table, device: by } of plan.routes)
    if (by === device && table === TABLE_MAIN && pods.has(networkKey(destination))) closed.push(destination);
  return closed;
};

/** What brings the kernel there; none when it is. */
export const closedChanges = (have: readonly RouteBytes[], want: readonly Cidr[]): Request[] => {
  const surplus = new Map<string, Cidr>();
  for (const route of have) if (isClosed(route)) surplus.set(networkKey(route), route);
  const requests: Request[] = [];
  for (const cidr of want)
    if (!surplus.delete(networkKey(cidr))) requests.push(replaceRoute(closedRoute(cidr)));
  for (const cidr of surplus.values()) requests.push(deleteRoute(closedRoute(cidr)));
  return requests;
};

const isClosed = ({ type, protocol, metric, table }: RouteBytes): boolean =>
  type === 'unreachable' && protocol === PROTOCOL_STATIC && metric === CLOSED_METRIC && table === TABLE_MAIN;

const closedRoute = (cidr: Cidr): NewRoute => ({
  destination: formatCidr(cidr),
  type: 'unreachable',
  protocol: PROTOCOL_STATIC,
  metric: CLOSED_METRIC,
  table: TABLE_MAIN,
});
