/**
 * Which of the ranges that nodes offer on behalf of their location are let in.
 * Source: Kilo's filter of allowed-location-ips. It runs segment by segment while addresses are handed out,
 * and its result depends on that order, so the order is kept.
 * @module
 */

import { type Address, type Cidr, formatCidr } from '../noise/ip.ts';
import { overlaps, PrefixIndex } from './ip-prefix.ts';
import type { ReadyNode } from './node.ts';
import type { Peer } from './peer.ts';
import type { Problem } from './problem.ts';

/** A segment while it is being made: its ranges are still to be filtered. */
export interface DraftSegment {
  readonly location: string;
  readonly nodeLocation: string;
  readonly leader: ReadyNode;
  readonly members: readonly ReadyNode[];
  readonly allowedIPs: readonly Cidr[];
  allowedLocationIPs: readonly Cidr[];
}

/**
 * Drops a range that meets one of another segment (earlier ones are filtered by then, later ones are not,
 * so the last claimant keeps it), whose base lies in an allowed IP, or that meets a Peer's.
 */
export const filterAllowedLocationIPs = (
  segments: readonly (DraftSegment & { readonly wireguardIP: Address })[],
  peers: readonly Peer[],
  problems: Problem[],
): void => {
  const claimants = segments.filter((segment) => segment.allowedLocationIPs.length > 0);
  if (claimants.length === 0) return;
  const allowed = new PrefixIndex<string>();
  // Every segment's own address comes last; it joins only when its turn has come.
  for (const segment of segments)
    for (const cidr of segment.allowedIPs.slice(0, -1)) allowed.set(cidr, segment.location);

  for (const segment of segments) {
    const own = segment.allowedIPs.at(-1);
    if (own !== undefined) allowed.set(own, segment.location);
    if (segment.allowedLocationIPs.length === 0) continue;
    segment.allowedLocationIPs = segment.allowedLocationIPs.filter((cidr) => {
      const why = whyDropped(cidr, segment, claimants, allowed, peers);
      if (why === null) return true;
      const message = `The range ${formatCidr(cidr)} offered for "${segment.location}" is not routed: ${why}.`;
      const subject = { kind: 'segment', name: segment.location } as const;
      problems.push({ code: 'allowed-location-ip-dropped', subject, message });
      return false;
    });
  }
};

const whyDropped = (
  cidr: Cidr,
  segment: DraftSegment,
  claimants: readonly DraftSegment[],
  allowed: PrefixIndex<string>,
  peers: readonly Peer[],
): string | null => {
  for (const other of claimants) {
    if (other === segment) continue;
    const rival = other.allowedLocationIPs.find((range) => overlaps(range, cidr));
    if (rival !== undefined) return `"${other.location}" offers ${formatCidr(rival)}`;
  }
  const holder = allowed.covering(cidr.address);
  if (holder !== undefined) return `its first address belongs to "${holder}"`;
  for (const peer of peers) {
    const rival = peer.allowedIPs.find((range) => overlaps(range, cidr));
    if (rival !== undefined) return `Peer "${peer.name}" holds ${formatCidr(rival)}`;
  }
  return null;
};
