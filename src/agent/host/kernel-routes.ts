/**
 * Routes and rules in the kernel: which of them are the mesh's, and changing only what differs.
 * Source: rtnetlink(7); Kilo's marks (protocol static, table 1107, onlink routes on the private link), so that what an
 * earlier agent left behind is known again and taken over or taken away.
 * @module
 */
import type { NetlinkSocket, Request } from '../../linux/netlink.ts';
import { deleteRoute, type NewRoute, newRoute, PROTOCOL_STATIC, replaceRoute } from '../../linux/route.ts';
import type { RouteBytes } from '../../linux/route-bytes.ts';
import { deleteRule, type Rule as KernelRule, type NewRule, newRule } from '../../linux/rule.ts';
import { formatAddress, formatCidr, parseCidr } from '../../noise/ip.ts';
import { diffPlans } from '../../routing/diff.ts';
import { addressKey, networkKey } from '../../routing/ip-prefix.ts';
import type { Links } from '../../routing/links.ts';
import { KILO_TABLE, MAIN_TABLE, type Plan, type Route, type Rule } from '../../routing/routes.ts';
import type { HostLinks } from './links.ts';

export interface RouteChanges {
  readonly added: number;
  readonly replaced: number;
  readonly removed: number;
  /** What the kernel refused, one sentence each. */
  readonly faults: readonly string[];
}

/** What of the mesh the kernel holds. */
export const readPlan = (host: HostLinks, links: Links, want: Plan = { routes: [], rules: [] }): Plan => {
  const wanted = new Set(
    want.routes
      .filter(({ device }) => device === links.private)
      .map(({ destination }) => networkKey(destination)),
  );
  const gateways = new Set(host.defaultRoutes.map(({ gateway }) => gateway && addressKey(gateway)));
  // An administrator's own onlink route is most often the way to, or by, the default gateway.
  const isForeign = (route: RouteBytes): boolean =>
    !route.onlink ||
    route.gateway === undefined ||
    (gateways.has(addressKey(route.gateway)) && !wanted.has(networkKey(route)));
  const isOurs = (route: RouteBytes, device: string): boolean => {
    if (route.protocol !== PROTOCOL_STATIC || route.type !== 'unicast' || route.metric !== metricOf(route))
      return false;
    if (route.table === KILO_TABLE) return true;
    if (route.table !== MAIN_TABLE || route.prefix === 0) return false;
    if (device === links.wireguard || device === links.tunnel) return true;
    return device === links.private && !isForeign(route);
  };
  const routes = host.routes.flatMap((route): Route[] => {
    const device = host.byIndex.get(route.link ?? -1)?.name;
    return device === undefined || !isOurs(route, device) ? [] : [routeOf(route, device)];
  });
  return { routes, rules: host.rules.flatMap((rule) => ruleOf(rule) ?? []) };
};

/** IPv6 has no metric 0: the kernel makes it 1024. */
const metricOf = ({ family }: RouteBytes): number => (family === 6 ? 1024 : 0);

const routeOf = (
  { address, prefix, gateway, source, onlink, table, mtu }: RouteBytes,
  device: string,
): Route => ({
  destination: { address, prefix },
  ...(gateway === undefined ? {} : { via: gateway }),
  device,
  ...(source === undefined ? {} : { source }),
  onlink,
  table,
  ...(mtu === undefined ? {} : { mtu }),
});

const ruleOf = (rule: KernelRule): Rule | null => {
  if (rule.table !== KILO_TABLE || rule.action !== 'table' || rule.to === undefined) return null;
  const to = parseCidr(rule.to);
  const from = rule.from === undefined ? null : parseCidr(rule.from);
  if (to === null) return null;
  return {
    ...(from === null ? {} : { from }),
    to,
    ...(rule.incoming === undefined ? {} : { inputDevice: rule.incoming }),
    table: rule.table,
  };
};

/**
 * Makes the kernel hold this and no more. What is new comes before what goes, so that no packet is without a way.
 * @param besideAnother another network plugin's routes to the same destinations give way, as for Kilo: they are to all pods, also
 *   to those elsewhere, in clear; a route of anybody else stays, and is told
 */
export const applyPlan = (
  socket: NetlinkSocket,
  host: HostLinks,
  links: Links,
  want: Plan,
  besideAnother = false,
): RouteChanges => {
  const have = readPlan(host, links, want);
  const { routes, rules } = diffPlans(have, want);
  const faults: string[] = [];
  const requests: Request[] = [];
  const add = (route: Route, make: (route: NewRoute) => Request): void => {
    const index = host.byName.get(route.device)?.index;
    const named = `${formatCidr(route.destination)} over ${route.device}`;
    if (index === undefined) faults.push(`The route to ${named} waits: there is no such link.`);
    else requests.push(make(kernelRoute(route, index)));
  };
  for (const route of routes.add) add(route, besideAnother ? replaceRoute : newRoute);
  for (const { want: route } of routes.replace) add(route, replaceRoute);
  for (const rule of rules.add) requests.push(newRule(kernelRule(rule)));
  for (const route of routes.remove) add(route, deleteRoute);
  for (const rule of rules.remove) requests.push(deleteRule(kernelRule(rule)));
  for (const error of socket.tryBatch(requests)) if (error !== undefined) faults.push(error.message);
  return {
    added: routes.add.length + rules.add.length,
    replaced: routes.replace.length,
    removed: routes.remove.length + rules.remove.length,
    faults,
  };
};

const kernelRoute = ({ destination, via, source, onlink, table, mtu }: Route, link: number): NewRoute => ({
  destination: formatCidr(destination),
  link,
  // onlink says something of a gateway only.
  onlink: onlink && via !== undefined,
  table,
  protocol: PROTOCOL_STATIC,
  mtu,
  ...(via === undefined ? {} : { gateway: formatAddress(via) }),
  ...(source === undefined ? {} : { source: formatAddress(source) }),
});

const kernelRule = ({ from, to, inputDevice, table }: Rule): NewRule => ({
  to: formatCidr(to),
  table,
  action: 'table',
  ...(from === undefined ? {} : { from: formatCidr(from) }),
  ...(inputDevice === undefined ? {} : { incoming: inputDevice }),
});
