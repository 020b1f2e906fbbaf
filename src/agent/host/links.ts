/**
 * A host's links, addresses, routes and rules, read at one moment.
 * Source: rtnetlink(7); Kilo's choice of the private link, of the MTU (default route's less 80) and of addresses.
 * @module
 */
import { addressesOf, allAddresses, type LinkAddress, SCOPE_GLOBAL } from '../../linux/address.ts';
import { KnownDump } from '../../linux/known-dump.ts';
import { type Link, listLinks } from '../../linux/link.ts';
import type { NetlinkSocket } from '../../linux/netlink.ts';
import { allRoutes, TABLE_MAIN } from '../../linux/route.ts';
import { type RouteBytes, routeBytesOf } from '../../linux/route-bytes.ts';
import { allRules, type Rule, rulesOf } from '../../linux/rule.ts';
import { type Address, type Cidr, isIpv6, parseCidr, sameAddress } from '../../noise/ip.ts';

/** A tunnel's own headers: IPv6, UDP, WireGuard. */
const OVERHEAD = 80;
const FALLBACK_MTU = 1420;

export interface HostAddress {
  readonly link: number;
  readonly cidr: Cidr;
  readonly isGlobal: boolean;
}

export interface HostLinks {
  readonly byName: ReadonlyMap<string, Link>;
  readonly byIndex: ReadonlyMap<number, Link>;
  readonly addresses: readonly HostAddress[];
  readonly routes: readonly RouteBytes[];
  readonly rules: readonly Rule[];
  /** Those of the main table that lead everywhere, best first. */
  readonly defaultRoutes: readonly RouteBytes[];
}

const FAMILIES = [4, 6] as const;

/** Reads one host again and again; answers the very same value while nothing there has changed. */
export class HostReader {
  readonly #addresses = new KnownDump(allAddresses(), addressesOf);
  readonly #routes = FAMILIES.map((family) => new KnownDump(allRoutes(family), routeBytesOf));
  readonly #rules = FAMILIES.map((family) => new KnownDump(allRules(family), rulesOf));
  /** The kernel counts packets in what it tells of links, so their bytes are never the same. */
  #links: readonly Link[] = [];
  #parts: readonly unknown[] = [];
  #host: HostLinks | null = null;

  read(socket: NetlinkSocket): HostLinks {
    const links = listLinks(socket);
    if (!isSame(links, this.#links)) this.#links = links;
    const addresses = this.#addresses.read(socket);
    const routes = this.#routes.map((dump) => dump.read(socket));
    const rules = this.#rules.map((dump) => dump.read(socket));
    const parts = [this.#links, addresses, ...routes, ...rules];
    if (this.#host === null || parts.some((part, at) => part !== this.#parts[at]))
      this.#host = hostLinks(this.#links, addresses, routes.flat(), rules.flat());
    this.#parts = parts;
    return this.#host;
  }
}

const FIELDS = ['index', 'name', 'flags', 'mtu', 'mac', 'master', 'parent', 'operState', 'kind'] as const;

const isSame = (a: readonly Link[], b: readonly Link[]): boolean =>
  a.length === b.length && a.every((link, at) => FIELDS.every((field) => link[field] === b[at]?.[field]));

export const readLinks = (socket: NetlinkSocket): HostLinks => new HostReader().read(socket);

const hostLinks = (
  links: readonly Link[],
  addresses: readonly LinkAddress[],
  routes: readonly RouteBytes[],
  rules: readonly Rule[],
): HostLinks => ({
  byName: new Map(links.map((link) => [link.name, link])),
  byIndex: new Map(links.map((link) => [link.index, link])),
  addresses: addresses.flatMap(({ link, address, scope }) => {
    const cidr = parseCidr(address);
    return cidr === null ? [] : [{ link, cidr, isGlobal: scope === SCOPE_GLOBAL }];
  }),
  routes,
  rules,
  defaultRoutes: routes
    .filter(({ prefix, type, table }) => prefix === 0 && type === 'unicast' && table === TABLE_MAIN)
    .toSorted((a, b) => a.family - b.family || a.metric - b.metric),
});

export const hasAddress = ({ addresses }: HostLinks, wanted: Address): boolean =>
  addresses.some(({ cidr }) => sameAddress(cidr.address, wanted));

/** The link that carries an address; null when none does. */
export const linkOfAddress = ({ addresses, byIndex }: HostLinks, wanted: Address): Link | null => {
  const found = addresses.find(({ cidr }) => sameAddress(cidr.address, wanted));
  return (found === undefined ? undefined : byIndex.get(found.link)) ?? null;
};

/** The first IPv6 address of the link that carries an IPv4 one; none with link-local scope. */
export const ipv6Beside = ({ addresses }: HostLinks, own: Address): Address | null => {
  const { link } = addresses.find(({ cidr }) => sameAddress(cidr.address, own)) ?? {};
  if (own.length !== 4 || link === undefined) return null;
  const beside = addresses.filter((each) => each.link === link && each.isGlobal && isIpv6(each.cidr.address));
  return beside.map(({ cidr }) => cidr.address).toSorted(Buffer.compare)[0] ?? null;
};

/** What fits into a tunnel over the default route. */
export const automaticMtu = ({ defaultRoutes, byIndex }: HostLinks): number => {
  const link = byIndex.get(defaultRoutes[0]?.link ?? -1);
  return link === undefined || link.mtu <= OVERHEAD ? FALLBACK_MTU : link.mtu - OVERHEAD;
};
