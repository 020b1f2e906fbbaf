/**
 * Segments that do not reach each other, and through whom they do: two that are both behind NATs which give every destination a
 * port of its own, or whose provider drops what comes in. Leaders publish whose leader they do not reach (reachability.ts); a
 * pair that says so of each other is joined by a third segment that neither doubts and that doubts neither. It is a function of
 * what is published, so nobody negotiates and everybody agrees. A relay reaches both ends by tunnels of its own: nothing is
 * relayed twice, and nothing goes round in circles.
 *
 * In WireGuard's terms: at each end the other's networks are among the allowed IPs of the relay's peer. The other's own peer
 * stays, without any, and is dialled on.
 *
 * Which of several: one that its owner offers before others, then the one that is published as in use, then those with a public
 * endpoint, spread over pairs.
 * Source: "relay" and "relayed" as in Nebula and Netmaker; rendezvous hashing (Thaler and Ravishankar, 1998); FNV-1a and
 * MurmurHash3's finalizer for its weights.
 * @module
 */
import { isPublic } from './ip-prefix.ts';
import type { ReadyNode } from './node.ts';
import type { Problem } from './problem.ts';
import type { Segment, Topology } from './topology.ts';

/** What a leader publishes of another segment that it does not reach. */
export interface Unreached {
  /** Unix seconds. */
  readonly since: number;
  /** The segment that passes on what the two send each other. */
  readonly relay?: string;
}

/** By segment. */
export type UnreachedSegments = ReadonlyMap<string, Unreached>;

/** Two segments that do not reach each other, in their order. */
export interface ApartSegments {
  readonly ends: readonly [Segment, Segment];
  /** Null: nobody reaches both, or may. */
  readonly relay: Segment | null;
  /** Unix seconds since when both have said so. */
  readonly since: number;
}

type Speaker = Pick<Segment, 'leader' | 'members'>;

const NOTHING: UnreachedSegments = new Map();

/** Seconds between keepalives where both ends have to go on trying, and to a relay, whose way back must stay open. */
export const RELAY_KEEPALIVE = 25;

/** Whether its agent takes part, as an end or as a relay. */
export const knowsRelays = ({ abilities }: ReadyNode): boolean => abilities?.has('relay') === true;

/**
 * Whom a segment does not reach. A leader that has not judged yet stands behind the same NAT as the one before it, whose word
 * goes on.
 */
export const unreachedBy = ({ leader, members }: Speaker): UnreachedSegments => {
  if (!knowsRelays(leader)) return NOTHING;
  return (
    leader.unreached ??
    members.find((member) => member.unreached !== undefined && knowsRelays(member))?.unreached ??
    NOTHING
  );
};

/** Whether one of two leaders says that it does not reach the other: then both keep trying. */
export const isDoubted = (a: Segment, b: Segment): boolean =>
  knowsRelays(a.leader) &&
  knowsRelays(b.leader) &&
  (unreachedBy(a).has(b.location) || unreachedBy(b).has(a.location));

export interface RelayOptions {
  /** Whether two segments reach each other without a tunnel. */
  readonly areNear: (a: Segment, b: Segment) => boolean;
  /** False for a segment that gets no tunnel. */
  readonly hasTunnels: (segment: Segment) => boolean;
}

/** In the order of the segments. */
export const apartSegments = (segments: readonly Segment[], options: RelayOptions): ApartSegments[] => {
  const words = new Map<Segment, UnreachedSegments>();
  for (const segment of segments) {
    const word = options.hasTunnels(segment) ? unreachedBy(segment) : NOTHING;
    if (word.size > 0) words.set(segment, word);
  }
  if (words.size < 2) return [];
  const doubts = (a: Segment, b: Segment): boolean => words.get(a)?.has(b.location) === true;
  const able = segments.filter((segment) => options.hasTunnels(segment) && mayRelay(segment));
  const offered = able.filter(isOffered);
  const byLocation = new Map(able.map((segment) => [segment.location, segment]));
  const apart: ApartSegments[] = [];
  const speakers = [...words];
  for (const [at, [a, ofA]] of speakers.entries()) {
    for (const [b, ofB] of speakers.slice(at + 1)) {
      const [here, there] = [ofA.get(b.location), ofB.get(a.location)];
      if (here === undefined || there === undefined || options.areNear(a, b)) continue;
      const isOpen = (relay: Segment): boolean =>
        [a, b].every(
          (end) =>
            relay !== end && !options.areNear(relay, end) && !doubts(relay, end) && !doubts(end, relay),
        );
      const published = [here.relay, there.relay].flatMap((name = '') => byLocation.get(name) ?? []);
      const inUse = published.filter(isOpen);
      const wanted = offered.filter(isOpen);
      const relay =
        inUse.find((segment) => wanted.length === 0 || wanted.includes(segment)) ??
        heaviest(wanted.length > 0 ? wanted : publicOnes(able.filter(isOpen)), a, b);
      apart.push({ ends: [a, b], relay, since: Math.max(here.since, there.since) });
    }
  }
  return apart;
};

/** Its owner's word of any member counts for the whole place: traffic is paid for by place. */
const mayRelay = ({ leader, members }: Segment): boolean =>
  knowsRelays(leader) && members.every(({ relay }) => relay !== false);

const isOffered = ({ members }: Segment): boolean => members.some(({ relay }) => relay === true);

const hasPublicEndpoint = ({ leader: { endpoint } }: Segment): boolean =>
  endpoint.address !== undefined && isPublic(endpoint.address);

/** Those with a public endpoint, or all if none has one. */
const publicOnes = (segments: readonly Segment[]): readonly Segment[] => {
  const some = segments.filter(hasPublicEndpoint);
  return some.length > 0 ? some : segments;
};

/** Another for each pair, and for one pair always the same as long as it is there. */
const heaviest = (candidates: readonly Segment[], a: Segment, b: Segment): Segment | null => {
  const seed = mixed(hash(a.location) ^ mixed(hash(b.location)));
  let found: Segment | null = null;
  let most = -1;
  for (const segment of candidates) {
    const weight = mixed(hash(segment.location) ^ seed);
    if (weight > most) [found, most] = [segment, weight];
  }
  return found;
};

const hash = (text: string): number => {
  let state = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) state = Math.imul(state ^ text.charCodeAt(at), 0x01000193);
  return state;
};

const mixed = (value: number): number => {
  let state = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  state = Math.imul(state ^ (state >>> 13), 0xc2b2ae35);
  return (state ^ (state >>> 16)) >>> 0;
};

/** Destination → relay, for what one segment sends. */
export const relaysOf = (apart: readonly ApartSegments[], own: Segment): ReadonlyMap<Segment, Segment> => {
  const relays = new Map<Segment, Segment>();
  for (const {
    ends: [a, b],
    relay,
  } of apart) {
    if (relay !== null && a === own) relays.set(b, relay);
    if (relay !== null && b === own) relays.set(a, relay);
  }
  return relays;
};

/** Answers who passes on what two segments send; null: nobody does; undefined: they reach each other. */
export const relayBetween = (apart: readonly ApartSegments[]) => {
  const known = new Map<Segment, Map<Segment, Segment | null>>();
  for (const {
    ends: [a, b],
    relay,
  } of apart) {
    for (const [one, other] of [
      [a, b],
      [b, a],
    ] as const) {
      const others = known.get(one) ?? new Map();
      known.set(one, others.set(other, relay));
    }
  }
  return (one: Segment, other: Segment): Segment | null | undefined => known.get(one)?.get(other);
};

/**
 * What the viewer shall publish, with the relays in use, so that they stay in use; null: nothing. A leader that finds nothing says
 * so when others of its segment have said something before.
 */
export const publishedUnreached = (
  { self, segment, segments, isLeader, relays }: Topology,
  unreached: ReadonlyMap<string, number>,
): UnreachedSegments | null => {
  const isContradicted = segment.members.some((member) => member !== self && member.unreached !== undefined);
  if (!isLeader || (unreached.size === 0 && !isContradicted)) return null;
  const relayFor = new Map([...relays].map(([{ location }, relay]) => [location, relay.location]));
  return new Map(
    segments.flatMap(({ location }) => {
      const since = unreached.get(location);
      const relay = relayFor.get(location);
      if (since === undefined) return [];
      return [[location, { since, ...(relay === undefined ? {} : { relay }) }] as const];
    }),
  );
};

/** Those that the viewer's segment passes packets on for. */
export const relayedSegments = ({
  apart,
  segment,
}: Pick<Topology, 'apart' | 'segment'>): ReadonlySet<Segment> =>
  new Set(apart.flatMap(({ ends, relay }) => (relay === segment ? ends : [])));

/** One of a segment for all the others that come after it, so that a mesh of many that are apart is not told pair by pair. */
export const apartProblems = (apart: readonly ApartSegments[]): Problem[] =>
  [...Map.groupBy(apart, ({ ends: [a] }) => a)].flatMap(
    ([
      {
        leader: { name },
      },
      pairs,
    ]) => {
      const subject = { kind: 'node', name } as const;
      const [relayed, lost] = [pairs.filter(hasRelay), pairs.filter((each) => !hasRelay(each))];
      const problems: Problem[] = [];
      if (relayed.length > 0) {
        const ways = relayed.map(
          ({ ends: [, b], relay }) => `"${b.leader.name}" through "${relay?.leader.name}"`,
        );
        const message = `"${name}" has no tunnel of its own with others, and reaches ${some(ways)}.`;
        problems.push({ code: 'relayed', subject, message });
      }
      if (lost.length > 0) {
        const others = lost.map(({ ends: [, b] }) => `"${b.leader.name}"`);
        const message = `"${name}" does not reach ${some(others)}, and nobody may pass on what they send who reaches both.`;
        problems.push({ code: 'no-relay', subject, message });
      }
      return problems;
    },
  );

const hasRelay = ({ relay }: ApartSegments): boolean => relay !== null;

const some = (words: readonly string[]): string =>
  words.length <= 3 ? words.join(', ') : `${words.slice(0, 3).join(', ')} and ${words.length - 3} more`;
