/**
 * Who speaks for a segment.
 * Source: Kilo's leader election: stateless, every agent decides alone and must decide alike.
 * @module
 */

import { isPublic } from './ip-prefix.ts';
import type { ReadyNode } from './node.ts';

/**
 * The first volunteer with a public endpoint, else the first volunteer, else the first with a public
 * endpoint, else the first. The configured endpoint counts, never a discovered one.
 */
export const electLeader = (members: readonly [ReadyNode, ...ReadyNode[]]): ReadyNode => {
  let volunteer: ReadyNode | undefined;
  let reachable: ReadyNode | undefined;
  for (const node of members) {
    const address = node.endpoint.address;
    const hasPublic = address !== undefined && isPublic(address);
    if (node.leader && hasPublic) return node;
    if (node.leader) volunteer ??= node;
    if (hasPublic) reachable ??= node;
  }
  return volunteer ?? reachable ?? members[0];
};

/** Why a member leads, for people. */
export const whyLeads = (leader: ReadyNode, members: readonly ReadyNode[]): string => {
  if (members.length === 1) return 'alone';
  const { address } = leader.endpoint;
  const hasPublic = address !== undefined && isPublic(address);
  if (leader.leader)
    return hasPublic ? 'volunteer, public endpoint' : 'volunteer; none has a public endpoint';
  return hasPublic ? 'first with a public endpoint' : 'first by name; none has a public endpoint';
};
