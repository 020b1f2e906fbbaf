/**
 * The addresses a network may hand out: sets of ranges, one address from each set per attachment.
 * Rules, defaults and texts: containernetworking/plugins, host-local, `ranges` (Kilo writes them into its conflist).
 * @module
 */
import { CniError } from '../cni-error.ts';
import type { JsonObject } from '../json-object.ts';
import {
  bitsOf,
  bounds,
  type Family,
  formatAddress,
  formatPrefix,
  type IpAddress,
  type IpPrefix,
  parseAddress,
  parsePrefix,
} from './ip-address.ts';

export interface AddressRange {
  readonly family: Family;
  readonly subnet: IpPrefix;
  readonly start: bigint;
  readonly end: bigint;
  readonly gateway: bigint;
}

/** Ranges of one family; an attachment gets one address out of all of them. */
export type RangeSet = readonly AddressRange[];

/** An interval that is never handed out on its own account; a request by address may still have it. */
export interface Excluded {
  readonly family: Family;
  readonly first: bigint;
  readonly last: bigint;
}

const wrong = (message: string): CniError => new CniError('ERR_CNI_CONFIG', message);

export function parseRange(object: JsonObject): AddressRange {
  const text = object.string('subnet');
  const subnet = parsePrefix(text);
  if (subnet === undefined)
    throw wrong(
      text === ''
        ? 'invalid range set: missing field "subnet"'
        : `invalid range set: invalid CIDR address: ${text}`,
    );
  const { family, length } = subnet;
  const { first, last } = bounds(subnet);
  if (bitsOf(family) - length < 2) throw wrong(`Network ${formatPrefix(subnet)} too small to allocate from`);
  if (first !== subnet.value)
    throw wrong(
      `Network has host bits set. For a subnet mask of length ${length} the network address is ${formatAddress({ family, value: first })}`,
    );
  const inside = (key: string, otherwise: bigint, label: string): bigint => {
    const written = object.string(key);
    if (written === '') return otherwise;
    const address = parseAddress(written);
    if (address === undefined || address.family !== family || address.value < first || address.value > last)
      throw wrong(`${label} ${written} not in network ${formatPrefix(subnet)}`);
    return address.value;
  };
  const lastUsable = family === 4 ? last - 1n : last;
  const range: AddressRange = {
    family,
    subnet,
    start: inside('rangeStart', first + 1n, 'RangeStart'),
    end: inside('rangeEnd', lastUsable, 'RangeEnd'),
    gateway: parseGateway(object.string('gateway'), family) ?? first + 1n,
  };
  if (range.start > range.end)
    throw wrong(
      `RangeStart ${formatAddress({ family, value: range.start })} is after RangeEnd ${formatAddress({ family, value: range.end })}`,
    );
  return range;
}

function parseGateway(text: string, family: Family): bigint | undefined {
  if (text === '') return undefined;
  const address = parseAddress(text);
  if (address === undefined || address.family !== family) throw wrong(`invalid gateway: ${text}`);
  return address.value;
}

/** What must hold between ranges: one family in a set, no address reachable twice. */
export function checkRangeSets(sets: readonly RangeSet[]): void {
  sets.forEach((set, index) => {
    const [head] = set;
    if (head === undefined) throw wrong(`invalid range set ${index}: empty range set`);
    if (set.some((range) => range.family !== head.family))
      throw wrong(`invalid range set ${index}: mixed address families`);
    set.forEach((range, at) => {
      const other = set.slice(at + 1).find((later) => overlap(range, later));
      if (other !== undefined)
        throw wrong(
          `invalid range set ${index}: subnets ${describeRange(range)} and ${describeRange(other)} overlap`,
        );
    });
    sets.slice(index + 1).forEach((later, offset) => {
      if (set.some((range) => later.some((other) => overlap(range, other))))
        throw wrong(`range set ${index} overlaps with ${index + 1 + offset}`);
    });
  });
}

export function parseExcluded(texts: readonly string[]): readonly Excluded[] {
  return texts.map((text) => {
    const address = parseAddress(text);
    if (address !== undefined) return { family: address.family, first: address.value, last: address.value };
    const prefix = parsePrefix(text);
    if (prefix !== undefined) return { family: prefix.family, ...bounds(prefix) };
    throw wrong(
      `"ipam.exclude" holds ${JSON.stringify(text)}; write addresses or subnets, like 10.42.0.0/28`,
    );
  });
}

/** The range of the set that the address lies in. */
export function rangeOf(set: RangeSet, address: IpAddress): AddressRange | undefined {
  return set.find(
    ({ family, start, end }) => family === address.family && address.value >= start && address.value <= end,
  );
}

export const isGateway = (set: RangeSet, value: bigint): boolean =>
  set.some((range) => range.gateway === value);

export function describeRange({ family, start, end }: AddressRange): string {
  return `${formatAddress({ family, value: start })}-${formatAddress({ family, value: end })}`;
}

export const describeSet = (set: RangeSet): string => set.map(describeRange).join(',');

/** How many addresses the set can hand out. */
export function capacity(set: RangeSet, excluded: readonly Excluded[]): bigint {
  let total = 0n;
  for (const { start, end, family } of set) {
    total += end - start + 1n;
    const gateways = new Set(
      set.map(({ gateway }) => gateway).filter((value) => value >= start && value <= end),
    );
    const holes = [...gateways].map((value) => ({ family, first: value, last: value }));
    total -= covered([...excluded.filter((hole) => hole.family === family), ...holes], start, end);
  }
  return total;
}

function covered(holes: readonly Excluded[], start: bigint, end: bigint): bigint {
  let total = 0n;
  let next = start;
  for (const { first, last } of [...holes].sort((a, b) => (a.first < b.first ? -1 : 1))) {
    let from = first;
    if (next > from) from = next;
    let to = last;
    if (end < to) to = end;
    if (from > to) continue;
    total += to - from + 1n;
    next = to + 1n;
  }
  return total;
}

function overlap(a: AddressRange, b: AddressRange): boolean {
  return a.family === b.family && a.start <= b.end && b.start <= a.end;
}

/**
 * Round robin: from the address after `last` to the end of the set, then from its beginning up to `last`.
 * Addresses come back slowly that way, which spares a new pod the connections meant for an old one.
 */
export function* candidates(
  set: RangeSet,
  last: IpAddress | undefined,
  excluded: readonly Excluded[],
): Generator<bigint> {
  const at = last === undefined ? -1 : set.findIndex((range) => rangeOf([range], last) !== undefined);
  const start = at < 0 || last === undefined ? undefined : last.value;
  for (let lap = 0; lap <= set.length; lap++) {
    const range = set[(Math.max(at, 0) + lap) % set.length];
    if (range === undefined) return;
    const from = lap === 0 && start !== undefined ? start + 1n : range.start;
    const wrapped = lap === set.length;
    if (wrapped && start === undefined) return;
    const to = wrapped && start !== undefined ? start : range.end;
    for (let value = from; value <= to; value++) {
      const hole = excluded.find(
        ({ family, first, last }) => family === range.family && value >= first && value <= last,
      );
      if (hole !== undefined) value = hole.last;
      else if (!isGateway(set, value)) yield value;
    }
  }
}
