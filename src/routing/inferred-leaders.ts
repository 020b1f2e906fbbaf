/**
 * Leaders nobody could publish, because the API is away, and how they are known all the same: who takes over calls the
 * leaders of other locations, and a handshake is as good as a signature. Those who see the old leader silent themselves, and
 * then hear a stand-by, go by the claim it would have published. Once it is published, that counts.
 *
 * Packets cannot run in a circle meanwhile: inside a location everybody sends to its leader or to who ranks before itself,
 * and what came out of a tunnel goes to the member it is for.
 * @module
 */
import { type ClaimReason, claimsOf, type LeaderClaim } from './leader.ts';
import type { Node, ReadyNode } from './node.ts';
import type { Segment } from './topology.ts';

/** After so long a change is no more "of late". */
export const CALM_SECONDS = 3600;
/** By then who took over has published it, if it still leads. */
const PUBLISHED_MS = 60_000;

/** The claim that follows those that are there. */
export const nextClaim = (segment: Segment, why: ClaimReason, unix: number): LeaderClaim => {
  const { leader, location, members, claim } = segment;
  const generations = claimsOf(members, location).map((each) => each.claim.generation);
  const recent = claim === undefined || unix - claim.since > CALM_SECONDS ? 0 : claim.times;
  return {
    segment: location,
    generation: Math.max(0, ...generations) + 1,
    times: why === 'first' ? recent : recent + 1,
    since: unix,
    instead: leader.name,
    why,
  };
};

export class InferredLeaders {
  /** By segment. */
  readonly #inferred = new Map<
    string,
    { readonly node: string; readonly claim: LeaderClaim; readonly at: number }
  >();

  /** By node name. */
  get claims(): ReadonlyMap<string, LeaderClaim> {
    return new Map([...this.#inferred.values()].map(({ node, claim }) => [node, claim]));
  }

  infer(segment: Segment, node: ReadyNode, now: { readonly ms: number; readonly unix: number }): void {
    const claim = nextClaim(segment, 'silent', now.unix);
    this.#inferred.set(segment.location, { node: node.name, claim, at: now.ms });
  }

  /** The API speaks; true when something was forgotten. */
  prune(ms: number): boolean {
    const old = [...this.#inferred].filter(([, { at }]) => ms - at > PUBLISHED_MS);
    for (const [segment] of old) this.#inferred.delete(segment);
    return old.length > 0;
  }
}

/** The records with what was inferred, where nothing newer has been published. */
export const withInferred = <Item extends Node>(
  nodes: readonly Item[],
  inferred: ReadonlyMap<string, LeaderClaim>,
): readonly Item[] => {
  if (inferred.size === 0) return nodes;
  const highest = (segment: string): number =>
    Math.max(
      0,
      ...nodes.map(({ leaderClaim: claim }) => (claim?.segment === segment ? claim.generation : 0)),
    );
  return nodes.map((node) => {
    const claim = inferred.get(node.name);
    return claim === undefined || claim.generation <= highest(claim.segment)
      ? node
      : { ...node, leaderClaim: claim };
  });
};
