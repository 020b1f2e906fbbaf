/**
 * What agents of this program tell each other beyond Kilo's annotations, under kilowire.dev/. All of it counts only while this
 * program runs there: an agent of Kilo that takes a node over leaves what it finds, but writes a heart-beat of its own.
 * @module
 */
import { formatAddress, parseAddress } from '../noise/ip.ts';
import { isKey } from '../routing/key-text.ts';
import type { ClaimReason, LeaderClaim } from '../routing/leader.ts';
import type { Ability, Node } from '../routing/node.ts';
import type { Unreached, UnreachedSegments } from '../routing/relays.ts';
import type { AddressClaim } from '../routing/stable-addresses.ts';
import { compareText } from '../routing/text-order.ts';
import { jsonObject } from './json-object.ts';

const PREFIX = 'kilowire.dev/';

/** The heart-beat it was written with, and what the agent can do: "1795233627 next-key stable-addresses". */
export const ABILITIES = `${PREFIX}abilities`;
/** Address and name of the segment the node is in: "10.4.0.5 location:eu". */
export const STABLE_ADDRESS = `${PREFIX}stable-address`;

/** By what the node leads its segment: "GENERATION TIMES SINCE WHY INSTEAD SEGMENT", as in "1 1 1795233627 silent eu-1 location:eu". */
export const LEADS = `${PREFIX}leads`;
/** Leaders of other segments that it finds failing, with since when: "eu-1=1795233627,us-1=1795233630". */
export const FAILING_LEADERS = `${PREFIX}failing-leaders`;

/** Segments that it, as a leader, does not reach, since when, and who passes on what they send each other, as JSON. */
export const UNREACHED = `${PREFIX}unreached`;
/** Written by the user: "true" offers the node's location as a relay, all else forbids it. */
export const RELAY = `${PREFIX}relay`;

/** Base64: the public half of the node's second key pair. */
export const PSK_KEY = `${PREFIX}psk-key`;
/** Written by the user: another text than before asks for another key. */
export const ROTATE_KEY = `${PREFIX}rotate-key`;
/** The request that was last served. */
export const KEY_ROTATED = `${PREFIX}key-rotated`;
/** Base64: the public key the node will have. */
export const NEXT_KEY = `${PREFIX}next-key`;
/** Next keys of others that the node's device has. */
export const KNOWN_KEYS = `${PREFIX}known-keys`;

/** Every release knows these by itself. */
const ALWAYS: readonly Ability[] = ['kilowire'];

export interface AbilityOptions {
  readonly stableAddresses: boolean;
  readonly leaderFailover: boolean;
  readonly relay: boolean;
  readonly presharedKeys: boolean;
  readonly pskDirectory: string | null;
}

export const abilitiesFor = (options: AbilityOptions): Set<Ability> => {
  const { stableAddresses, leaderFailover, relay, presharedKeys, pskDirectory } = options;
  return new Set([
    ...ALWAYS,
    ...(leaderFailover ? (['leader-failover'] as const) : []),
    ...(presharedKeys ? (['preshared-keys'] as const) : []),
    ...(pskDirectory === null ? [] : (['psk-dir'] as const)),
    ...(relay ? (['relay'] as const) : []),
    ...(stableAddresses ? (['stable-addresses'] as const) : []),
  ]);
};

/** Without the heart-beat it was written with. */
export const abilitiesWithout = (text: string): string => text.replace(/^\S* ?/, '');

export const abilitiesText = (lastSeen: number, abilities: Iterable<Ability>): string =>
  [String(lastSeen), ...abilities].join(' ');

/** Null: another program wrote the last heart-beat. */
const abilitiesOf = (text: string, lastSeen: string): ReadonlySet<Ability> | null => {
  const [written, ...abilities] = text.split(' ');
  return written === '' || written !== lastSeen ? null : new Set(abilities as Ability[]);
};

export const stableAddressText = ({ segment, address }: AddressClaim): string =>
  `${formatAddress(address)} ${segment}`;

/** One that cannot be read is none: its segment gets another. */
const stableAddressOf = (text: string): AddressClaim | null => {
  const space = text.indexOf(' ');
  const address = space < 0 ? null : parseAddress(text.slice(0, space));
  return address === null ? null : { address, segment: text.slice(space + 1) };
};

const REASONS: readonly ClaimReason[] = ['silent', 'grey', 'first'];

export const leaderClaimText = (claim: LeaderClaim | null): string =>
  claim === null
    ? ''
    : [claim.generation, claim.times, claim.since, claim.why, claim.instead, claim.segment].join(' ');

/** One that cannot be read is none. */
const leaderClaimOf = (text: string): LeaderClaim | null => {
  const match = /^(\d{1,9}) (\d{1,9}) (\d{1,15}) (\w+) (\S+) (.+)$/s.exec(text);
  if (match === null) return null;
  const [, generation, times, since, word, instead = '', segment = ''] = match;
  const why = REASONS.find((reason) => reason === word);
  if (why === undefined) return null;
  return {
    segment,
    generation: Number(generation),
    times: Number(times),
    since: Number(since),
    instead,
    why,
  };
};

export const failingLeadersText = (failing: ReadonlyMap<string, number>): string =>
  [...failing]
    .map(([leader, since]) => `${leader}=${since}`)
    .toSorted()
    .join();

const failingLeadersOf = (text: string): ReadonlyMap<string, number> =>
  new Map(
    [...text.matchAll(/([^,=]+)=(\d{1,15})(?:,|$)/g)].map(([, leader = '', at]) => [leader, Number(at)]),
  );

/** Sorted, so that the same is the same text. */
export const unreachedText = (unreached: UnreachedSegments): string =>
  JSON.stringify(Object.fromEntries([...unreached].toSorted(([a], [b]) => compareText(a, b))));

/** One that cannot be read is none. */
const unreachedOf = (text: string): UnreachedSegments | null => {
  const written = jsonObject(text);
  if (written === null) return null;
  const unreached = new Map<string, Unreached>();
  for (const [segment, value] of Object.entries(written)) {
    const { since, relay } = (value ?? {}) as { since?: unknown; relay?: unknown };
    if (typeof since !== 'number' || !Number.isSafeInteger(since)) continue;
    unreached.set(segment, { since, ...(typeof relay === 'string' ? { relay } : {}) });
  }
  return unreached;
};

/** The part of a node's record that comes from here. */
export const ownPart = (
  annotations: Readonly<Record<string, string>>,
  lastSeen: string,
): Pick<
  Node,
  | 'abilities'
  | 'stableAddress'
  | 'leaderClaim'
  | 'failingLeaders'
  | 'unreached'
  | 'relay'
  | 'nextKey'
  | 'knownKeys'
  | 'pskKey'
> => {
  const abilities = abilitiesOf(annotations[ABILITIES] ?? '', lastSeen);
  const stableAddress = stableAddressOf(annotations[STABLE_ADDRESS] ?? '');
  const leaderClaim = leaderClaimOf(annotations[LEADS] ?? '');
  const failingLeaders = failingLeadersOf(annotations[FAILING_LEADERS] ?? '');
  const unreached = unreachedOf(annotations[UNREACHED] ?? '');
  const relay = annotations[RELAY];
  const nextKey = annotations[NEXT_KEY] ?? '';
  const pskKey = annotations[PSK_KEY] ?? '';
  const knownKeys = (annotations[KNOWN_KEYS] ?? '').split(',').filter(isKey);
  return {
    ...(abilities === null ? {} : { abilities }),
    ...(stableAddress === null ? {} : { stableAddress }),
    ...(leaderClaim === null ? {} : { leaderClaim }),
    ...(failingLeaders.size === 0 ? {} : { failingLeaders }),
    ...(unreached === null ? {} : { unreached }),
    ...(relay === undefined ? {} : { relay: relay === 'true' }),
    // Of an agent that is gone nothing is to be expected.
    ...(abilities !== null && isKey(nextKey) ? { nextKey } : {}),
    ...(knownKeys.length === 0 ? {} : { knownKeys }),
    ...(isKey(pskKey) ? { pskKey } : {}),
  };
};

/** Equal when nothing of it has changed that matters to others. */
export const ownFingerprint = (
  annotations: Readonly<Record<string, string>>,
  { abilities }: Pick<Node, 'abilities'>,
): readonly unknown[] => [[...(abilities ?? [])], ...OWN_ANNOTATIONS.map((name) => annotations[name] ?? '')];

/** The heart-beat of the abilities is no news. */
export const OWN_ANNOTATIONS: readonly string[] = [
  STABLE_ADDRESS,
  LEADS,
  FAILING_LEADERS,
  UNREACHED,
  RELAY,
  ROTATE_KEY,
  NEXT_KEY,
  PSK_KEY,
];
