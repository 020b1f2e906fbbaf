/**
 * Which mesh address each segment has. Kilo counts: segment k has the pool's base plus k, so one that comes or goes moves all
 * after it. Where all nodes say that they keep addresses, a segment has the one that its nodes last published.
 * Source: Kilo's allocation (docs/topology.md, and what its agent does); the rule for kept addresses is ours:
 *
 *   1. A node publishes the segment it is in and that segment's address. What the leader published counts first, then what
 *      the other members did, by name, then what nodes did that are silent now. A leader that has published nothing of the
 *      kind counts with the address it has as Kilo's.
 *   2. Of two segments with one address, the first by name keeps it; a published one goes before one that is Kilo's.
 *   3. Addresses of segments that are away but whose Node still is there are kept for them while there are others.
 *   4. Who has none gets, in order, the lowest that is free.
 *
 * What 4 hands out does not change when it is published, node after node, so agents that hear of it one by one still agree.
 * @module
 */

import { type Address, type Cidr, contains, formatCidr, sameAddress } from '../noise/ip.ts';
import { addressKey, nthAddress } from './ip-prefix.ts';
import type { Node, ReadyNode } from './node.ts';
import type { Problem } from './problem.ts';
import { byName, compareText } from './text-order.ts';

/** What a node published: the segment it is in, and that segment's address. */
export interface AddressClaim {
  readonly segment: string;
  readonly address: Address;
}

interface Draft {
  readonly location: string;
  readonly leader: ReadyNode;
  readonly members: readonly ReadyNode[];
}

/** One for each segment, in order; null where the pool has none left. */
export const segmentAddresses = (
  drafts: readonly Draft[],
  nodes: readonly Node[],
  subnet: Cidr,
  problems: Problem[],
): readonly (Address | null)[] => {
  const members = drafts.flatMap((draft) => draft.members);
  const others = members.filter(({ abilities }) => abilities?.has('stable-addresses') !== true);
  if (others.length === 0) return keptAddresses(drafts, nodes, subnet);
  if (others.length < members.length) {
    for (const { name } of others) {
      const message = `Node "${name}" does not keep mesh addresses (--stable-addresses): while it is here, all are counted anew as Kilo does.`;
      problems.push({ code: 'addresses-not-kept', subject: { kind: 'node', name }, message });
    }
  }
  return drafts.map((_, index) => nthAddress(subnet, index + 1));
};

const keptAddresses = (
  drafts: readonly Draft[],
  nodes: readonly Node[],
  subnet: Cidr,
): readonly (Address | null)[] => {
  const published = publishedClaims(drafts, nodes);
  const base = nthAddress(subnet, 0);
  const usable = (address: Address | undefined): address is Address =>
    address !== undefined && contains(subnet, address) && (base === null || !sameAddress(address, base));
  const addresses: (Address | null)[] = drafts.map(() => null);
  const taken = new Set<string>();
  const take = (index: number, address: Address | undefined): void => {
    if ((addresses[index] ?? null) !== null || !usable(address) || taken.has(addressKey(address))) return;
    taken.add(addressKey(address));
    addresses[index] = address;
  };
  for (const [index, { location }] of drafts.entries()) take(index, published.get(location));
  for (const [index, { leader }] of drafts.entries())
    if (leader.stableAddress === undefined) take(index, leader.wireguardIP?.address);

  const present = new Set(drafts.map(({ location }) => location));
  const kept = new Set<string>();
  for (const [segment, address] of published) if (!present.has(segment)) kept.add(addressKey(address));
  // Twice through the pool: what is kept for others goes last.
  for (const avoided of [kept, new Set<string>()]) {
    let n = 1;
    for (const [index, address] of addresses.entries()) {
      if (address !== null) continue;
      let next = nthAddress(subnet, n);
      while (next !== null && (taken.has(addressKey(next)) || avoided.has(addressKey(next))))
        next = nthAddress(subnet, ++n);
      if (next === null) break;
      take(index, next);
    }
  }
  return addresses;
};

/** One for each segment that anybody speaks of. */
const publishedClaims = (drafts: readonly Draft[], nodes: readonly Node[]): ReadonlyMap<string, Address> => {
  const ready = new Set<Node>(drafts.flatMap(({ members }) => members));
  const silent = nodes
    .filter((node) => !ready.has(node))
    .toSorted((a, b) => byName(a, b) || compareText(a.key, b.key) || compareText(claimText(a), claimText(b)));
  const claims = new Map<string, Address>();
  const hear = ({ stableAddress: claim }: Node, location = claim?.segment): void => {
    // What a node says of a segment that it has left is void.
    if (claim !== undefined && claim.segment === location && !claims.has(location))
      claims.set(location, claim.address);
  };
  for (const { location, leader, members } of drafts)
    for (const member of [leader, ...members]) hear(member, location);
  for (const node of silent) hear(node);
  return claims;
};

const claimText = ({ stableAddress }: Node): string =>
  stableAddress === undefined
    ? ''
    : `${stableAddress.segment} ${formatCidr({ address: stableAddress.address, prefix: 0 })}`;
