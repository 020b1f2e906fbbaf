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
