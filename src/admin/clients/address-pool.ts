/**
 * The addresses that clients are given: a range of their own, from which each gets the first that is free.
 * Source: Kilo's examples have Peers in 10.5.0.0/16; pods of k3s are in 10.42.0.0/16, its services in 10.43.0.0/16, and
 * Kilo's mesh in 10.4.0.0/16.
 * @module
 */
import { type Address, type Cidr, cidr, contains, formatCidr, network, parseCidr } from '../../noise/ip.ts';
import { nthAddress, overlaps } from '../../routing/ip-prefix.ts';
import { AdminError } from '../admin-error.ts';
import type { ClusterSnapshot } from '../cluster-snapshot.ts';

export const DEFAULT_POOL = '10.5.0.0/16';
/** On the CRD peers.kilo.squat.ai: the pools of this cluster, separated by commas, in the place of the default. */
export const CLIENT_POOL = 'kilowire.dev/client-pool';

/** Further than this a number does not count exactly. */
const MOST_LOOKED_AT = 2 ** 52;

/** What a pool must stay clear of, in words. */
export interface Occupied {
  readonly range: Cidr;
  readonly what: string;
}

/** "10.5.0.0/16" or "10.5.0.0/16,fd05::/64": one IPv4 pool, one IPv6 pool, or both. @throws AdminError */
export const parsePools = (text: string): readonly Cidr[] => {
  const pools = text.split(',').map((part) => {
    const pool = parseCidr(part.trim());
    if (pool !== null && pool.prefix < pool.address.length * 8) return network(pool);
    throw poolError(`"${part.trim()}" is no range of addresses for clients; write it as ${DEFAULT_POOL}.`);
  });
  if (new Set(pools.map(({ address }) => address.length)).size === pools.length) return pools;
  throw poolError(`"${text}" has two pools of one family: a client gets one address of each family.`);
};

const poolError = (message: string): AdminError => new AdminError('ERR_ADMIN_CLIENT', message);

/** What the mesh itself uses: pods, private addresses, ranges behind locations, and the pool of mesh addresses. */
export const occupiedBy = ({ nodes }: ClusterSnapshot, subnet: Cidr): readonly Occupied[] => [
  { range: subnet, what: "the mesh's own addresses" },
  ...nodes.flatMap(({ node }) => [
    ...node.podCIDRs.map((range) => ({ range, what: `pods of ${node.name}` })),
    ...(node.internalIP === undefined
      ? []
      : [{ range: network(node.internalIP), what: `the private network of ${node.name}` }]),
    ...node.allowedLocationIPs.map((range) => ({ range, what: `the network behind ${node.name}` })),
  ]),
];

/** @throws AdminError when a pool has addresses of something else. */
export const checkPools = (pools: readonly Cidr[], occupied: readonly Occupied[]): void => {
  for (const pool of pools) {
    const other = occupied.find(({ range }) => overlaps(pool, range));
    if (other === undefined) continue;
    throw poolError(
      `The pool ${formatCidr(pool)} overlaps ${formatCidr(other.range)}, ${other.what}: give another with --pool, or for good: kubectl annotate crd peers.kilo.squat.ai ${CLIENT_POOL}=RANGE.`,
    );
  }
};

/** The first address after the base that nobody has; null when the pool is full. */
export const freeAddress = (pool: Cidr, taken: readonly Cidr[]): Address | null => {
  const inside = taken.filter((range) => overlaps(pool, range));
  if (inside.some(({ prefix }) => prefix <= pool.prefix)) return null;
  // The highest address of an IPv4 range is its broadcast address.
  const broadcast = pool.address.length === 4 && pool.prefix < 31;
  for (let at = 1; at < MOST_LOOKED_AT; at++) {
    const address = nthAddress(pool, at);
    if (address === null || (broadcast && nthAddress(pool, at + 1) === null)) return null;
    const covering = inside.find((range) => contains(range, address));
    if (covering === undefined) return address;
    // Whole ranges are jumped over: at most as many steps as there are Peers.
    at += 2 ** (covering.address.length * 8 - covering.prefix) - 1;
  }
  return null;
};

export const defaultPools = (): readonly Cidr[] => [cidr(DEFAULT_POOL)];
