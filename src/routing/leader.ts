/**
 * Who speaks for a segment.
 * Source: Kilo's leader election: stateless, every agent decides alone and must decide alike. Where all agents are of this
 * program, a member may publish that it leads in the place of one that fails; the rule stays a function of what is published.
 * @module
 */

import { isPublic } from './ip-prefix.ts';
import type { Node, ReadyNode } from './node.ts';
import { byName } from './text-order.ts';

export type ClaimReason =
  /** The one before answered nobody. */
  | 'silent'
  /** It answered, and passed nothing on. */
  | 'grey'
  /** This one comes first by Kilo's rule, and has been well for long enough. */
  | 'first';

/** What a member publishes when it leads by another rule than Kilo's. */
export interface LeaderClaim {
  /** Of which segment: a node may be moved. */
  readonly segment: string;
  /** The highest counts. */
  readonly generation: number;
  /** How often the segment had to change lately; it lengthens patience. */
  readonly times: number;
  /** Unix seconds. */
  readonly since: number;
  readonly instead: string;
  readonly why: ClaimReason;
}

/** Members that would take over, and so watch their leader, and have tunnels prepared. */
const STAND_BYS = 2;

const hasPublicEndpoint = ({ endpoint: { address } }: ReadyNode): boolean =>
  address !== undefined && isPublic(address);

/** How much Kilo would rather have it lead: volunteers first, and among equals those with a public endpoint. */
export const rankOf = (node: ReadyNode): number => (node.leader ? 2 : 0) + (hasPublicEndpoint(node) ? 1 : 0);

/** In the order in which they would lead. */
export const byRank = (members: readonly ReadyNode[]): ReadyNode[] =>
  members.toSorted((a, b) => rankOf(b) - rankOf(a) || byName(a, b));

/**
 * The first volunteer with a public endpoint, else the first volunteer, else the first with a public
 * endpoint, else the first. The configured endpoint counts, never a discovered one.
 */
const preferred = (members: readonly [ReadyNode, ...ReadyNode[]]): ReadyNode =>
  members.reduce((best, node) => {
    const more = rankOf(node) - rankOf(best);
    return more > 0 || (more === 0 && byName(node, best) < 0) ? node : best;
  });

/** Who takes over when the leader fails, in this order. */
export const standBysOf = ({
  leader,
  members,
}: {
  readonly leader: ReadyNode;
  readonly members: readonly ReadyNode[];
}): readonly ReadyNode[] =>
  byRank(members)
    .filter((member) => member !== leader)
    .slice(0, STAND_BYS);

export const claimsOf = (
  members: readonly ReadyNode[],
  segment: string,
): { readonly node: ReadyNode; readonly claim: LeaderClaim }[] =>
  byRank(members).flatMap((node) =>
    node.leaderClaim?.segment === segment ? [{ node, claim: node.leaderClaim }] : [],
  );

/**
 * The member of the highest claim, when claims count in this mesh, else the one Kilo prefers.
 * @param segment Whose claims count; absent: none do.
 */
export const electLeader = (members: readonly [ReadyNode, ...ReadyNode[]], segment?: string): ReadyNode => {
  const claims = segment === undefined ? [] : claimsOf(members, segment);
  // Of equal ones the first by rank.
  const [highest] = claims.toSorted((a, b) => b.claim.generation - a.claim.generation);
  return highest?.node ?? preferred(members);
};

/** Nodes whose agents decide by Kilo's rule only. One of them is enough: all must decide alike. */
export const withoutFailover = (nodes: readonly Node[]): readonly string[] =>
  nodes.filter(({ abilities }) => abilities?.has('leader-failover') !== true).map(({ name }) => name);

const WHY: Readonly<Record<ClaimReason, (instead: string) => string>> = {
  silent: (instead) => `in the place of ${instead}, which answered nobody`,
  grey: (instead) => `in the place of ${instead}, which passed nothing on`,
  first: (instead) => `again, after ${instead}`,
};

/** Why a member leads, for people. */
export const whyLeads = (leader: ReadyNode, members: readonly ReadyNode[], claim?: LeaderClaim): string => {
  if (claim !== undefined) return WHY[claim.why](claim.instead);
  if (members.length === 1) return 'alone';
  const hasPublic = hasPublicEndpoint(leader);
  if (leader.leader)
    return hasPublic ? 'volunteer, public endpoint' : 'volunteer; none has a public endpoint';
  return hasPublic ? 'first with a public endpoint' : 'first by name; none has a public endpoint';
};
