/**
 * What agents of this program tell each other beyond Kilo's annotations, under kilowire.dev/. All of it counts only while this
 * program runs there: an agent of Kilo that takes a node over leaves what it finds, but writes a heart-beat of its own.
 * @module
 */
import { formatAddress, parseAddress } from '../noise/ip.ts';
import type { Ability, Node } from '../routing/node.ts';
import type { AddressClaim } from '../routing/stable-addresses.ts';

const PREFIX = 'kilowire.dev/';

/** The heart-beat it was written with, and what the agent can do: "1795233627 next-key stable-addresses". */
export const ABILITIES = `${PREFIX}abilities`;
/** Address and name of the segment the node is in: "10.4.0.5 location:eu". */
export const STABLE_ADDRESS = `${PREFIX}stable-address`;

/** Every release knows these by itself. */
const ALWAYS: readonly Ability[] = ['kilowire'];

export const abilitiesFor = ({ stableAddresses }: { readonly stableAddresses: boolean }): Set<Ability> =>
  new Set([...ALWAYS, ...(stableAddresses ? (['stable-addresses'] as const) : [])]);

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

/** The part of a node's record that comes from here. */
export const ownPart = (
  annotations: Readonly<Record<string, string>>,
  lastSeen: string,
): Pick<Node, 'abilities' | 'stableAddress'> => {
  const abilities = abilitiesOf(annotations[ABILITIES] ?? '', lastSeen);
  const stableAddress = stableAddressOf(annotations[STABLE_ADDRESS] ?? '');
  return {
    ...(abilities === null ? {} : { abilities }),
    ...(stableAddress === null ? {} : { stableAddress }),
  };
};

/** Equal when nothing of it has changed that matters to others. */
export const ownFingerprint = (
  annotations: Readonly<Record<string, string>>,
  { abilities }: Pick<Node, 'abilities'>,
): readonly unknown[] => [[...(abilities ?? [])], ...OWN_ANNOTATIONS.map((name) => annotations[name] ?? '')];

/** Written by the agent; the heart-beat of the abilities is no news. */
export const OWN_ANNOTATIONS: readonly string[] = [STABLE_ADDRESS];
