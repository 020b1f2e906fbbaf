/**
 * Who holds a network when several members claim it.
 * Source: WireGuard's cryptokey routing (paper §2): an allowed IP belongs to one peer, the last that was given it.
 * Kilo gives them in segment order, then Peers by name; the same rule here keeps mixed clusters of one mind, and
 * routes agree with tunnels. What Kilo leaves to chance or lets a Peer take from a node is told as a problem.
 * @module
 */

import { type Cidr, formatCidr, network } from '../noise/ip.ts';
import { networkKey, PrefixIndex } from './ip-prefix.ts';
import type { Peer } from './peer.ts';
import type { Problem } from './problem.ts';
import type { Segment, Topology } from './topology.ts';

export type Claimant = Pick<Segment, 'location' | 'allowedIPs' | 'allowedLocationIPs'> | Peer;

export interface Claims {
  /** The networks of a claimant that are its own to route: host bits cleared, none held by another. */
  readonly networksOf: (claimant: Claimant) => readonly Cidr[];
  readonly holds: (claimant: Claimant, cidr: Cidr) => boolean;
  /** False for a tunnel whose key another member, earlier in order, already has. */
  readonly ownsKey: (claimant: Claimant) => boolean;
}

export const claimNetworks = (
  segments: readonly Segment[],
  peers: readonly Peer[],
  problems: Problem[],
): Claims => {
  const holders = new Map<string, Claimant>();
  const mesh = new PrefixIndex<Segment>();
  for (const segment of segments) {
    for (const cidr of declared(segment)) {
      const rival = mesh.get(cidr);
      if (rival !== undefined && rival !== segment) problems.push(claimedTwice(cidr, rival, segment));
      mesh.set(cidr, segment);
      holders.set(networkKey(cidr), segment);
    }
  }
  for (const peer of peers) {
    for (const cidr of peer.allowedIPs) {
      const segment = mesh.covering(cidr.address, cidr.prefix);
      if (segment !== undefined) {
        problems.push(insideMesh(peer, cidr, segment));
        continue;
      }
      if (cidr.prefix === 0) problems.push(defaultRoute(peer, cidr));
      const key = networkKey(cidr);
      const rival = holders.get(key);
      if (rival !== undefined && rival !== peer) problems.push(claimedTwice(cidr, rival, peer));
      holders.set(key, peer);
    }
  }
  const keyOwners = ownersOfKeys(segments, peers, problems);
  const holds = (claimant: Claimant, cidr: Cidr): boolean => holders.get(networkKey(cidr)) === claimant;
  return {
    holds,
    ownsKey: (claimant) => keyOwners.has(claimant),
    networksOf: (claimant) => {
      const own = new Map<string, Cidr>();
      for (const cidr of declared(claimant))
        if (holds(claimant, cidr)) own.set(networkKey(cidr), network(cidr));
      return [...own.values()];
    },
  };
};

/** A device knows each key once, and ignores a peer that has its own. */
export const hasTunnel = ({ claims, self }: Topology, claimant: Segment | Peer): boolean =>
  claims.ownsKey(claimant) && ('leader' in claimant ? claimant.leader.key : claimant.key) !== self.key;

const declared = (claimant: Claimant): readonly Cidr[] =>
  'allowedLocationIPs' in claimant
    ? [...claimant.allowedIPs, ...claimant.allowedLocationIPs]
    : claimant.allowedIPs;

const nameOf = (claimant: Claimant): string => ('location' in claimant ? claimant.location : claimant.name);

/** A tunnel is known by its key: the first member of a key keeps it, nodes before Peers. */
const ownersOfKeys = (
  segments: readonly Segment[],
  peers: readonly Peer[],
  problems: Problem[],
): ReadonlySet<Claimant> => {
  const seen = new Map<string, string>();
  const owners = new Set<Claimant>();
  const take = (claimant: Claimant, key: string, subject: Problem['subject']): void => {
    const earlier = seen.get(key);
    if (earlier === undefined) {
      seen.set(key, subject.name);
      owners.add(claimant);
    } else {
      const message = `"${subject.name}" gets no tunnel: its key is the key of "${earlier}".`;
      problems.push({ code: 'key-repeated', subject, message });
    }
  };
  for (const segment of segments)
    take(segment, segment.leader.key, { kind: 'node', name: segment.leader.name });
  for (const peer of peers) take(peer, peer.key, { kind: 'peer', name: peer.name });
  return owners;
};

const claimedTwice = (cidr: Cidr, earlier: Claimant, holder: Claimant): Problem => ({
  code: 'network-claimed-twice',
  subject: { kind: 'location' in earlier ? 'segment' : 'peer', name: nameOf(earlier) },
  message: `${formatCidr(cidr)} of "${nameOf(earlier)}" is also claimed by "${nameOf(holder)}", which gets the packets for it.`,
});

const insideMesh = (peer: Peer, cidr: Cidr, segment: Segment): Problem => ({
  code: 'peer-ip-inside-mesh',
  subject: { kind: 'peer', name: peer.name },
  message: `${formatCidr(cidr)} of Peer "${peer.name}" is not routed to it: it lies inside "${segment.location}".`,
});

const defaultRoute = (peer: Peer, cidr: Cidr): Problem => ({
  code: 'peer-ip-is-default-route',
  subject: { kind: 'peer', name: peer.name },
  message: `Peer "${peer.name}" may send from ${formatCidr(cidr)}, but no route is made of it: every node would lose its own way out.`,
});
