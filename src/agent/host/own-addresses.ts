/**
 * Which addresses of a host the mesh is told: a private one for its neighbours, and one to dial from outside.
 * Source: Kilo's discovery: addresses of the hostname, of the default route's link, of all links, each IPv4 first and then
 * by text; split by its public test. No cloud is asked.
 * @module
 */
import { type Address, type Cidr, contains, formatAddress, sameAddress } from '../../noise/ip.ts';
import { isPublic } from '../../routing/ip-prefix.ts';
import { compareText } from '../../routing/text-order.ts';
import type { HostAddress, HostLinks } from './links.ts';

export interface OwnAddresses {
  /** With the prefix length of its network; null when there is none. */
  readonly private: Cidr | null;
  /** The public one, or else the private one; null when there is neither. */
  readonly public: Address | null;
}

export interface OwnAddressOptions {
  /** What the hostname resolves to. */
  readonly ofHostname: readonly Address[];
  /** Names of links whose addresses do not count. */
  readonly ignoredLinks: readonly string[];
  /** Private addresses outside these do not count; none: all count. */
  readonly internalCIDRs: readonly Cidr[];
}

export const ownAddresses = (links: HostLinks, options: OwnAddressOptions): OwnAddresses => {
  const ignored = new Set(options.ignoredLinks.map((name) => links.byName.get(name)?.index));
  const usable = links.addresses.filter(({ link, cidr }) => !ignored.has(link) && isUsable(cidr.address));
  const standard = links.defaultRoutes[0]?.link;
  const candidates = [
    ...sorted(
      usable.filter(({ cidr }) => options.ofHostname.some((each) => sameAddress(each, cidr.address))),
    ),
    ...sorted(usable.filter(({ link }) => link === standard)),
    ...sorted(usable),
  ].map(({ cidr }) => cidr);
  const { internalCIDRs } = options;
  const own = candidates.find(
    ({ address }) =>
      !isPublic(address) &&
      (internalCIDRs.length === 0 || internalCIDRs.some((range) => contains(range, address))),
  );
  const outside = candidates.find(({ address }) => isPublic(address));
  return { private: own ?? null, public: outside?.address ?? own?.address ?? null };
};

/** Neither loopback nor link-local. */
const isUsable = (address: Address): boolean => {
  const [a = 0, b = 0] = address;
  if (address.length === 4) return a !== 127 && !(a === 169 && b === 254);
  return !(a === 0xfe && (b & 0xc0) === 0x80) && !address.subarray(0, 15).every((byte) => byte === 0);
};

const sorted = (addresses: readonly HostAddress[]): HostAddress[] =>
  addresses.toSorted(
    (a, b) =>
      a.cidr.address.length - b.cidr.address.length ||
      compareText(formatAddress(a.cidr.address), formatAddress(b.cidr.address)),
  );
