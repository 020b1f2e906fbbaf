/**
 * The allocator again, as one would explain it: all addresses of the set in a row, turned so that the one after
 * the last comes first, minus gateways, minus exclusions, minus what is held; the first that is left.
 * @module
 */
import type { Excluded, RangeSet } from '../../../src/cni/ipam/address-pool.ts';
import type { Reservations } from '../../../src/cni/ipam/allocator.ts';
import { formatAddress, type IpAddress, parseAddress } from '../../../src/cni/ipam/ip-address.ts';

export class MemoryReservations implements Reservations {
  readonly held = new Set<string>();
  readonly lasts = new Map<number, string>();

  reserve(address: string): boolean {
    if (this.held.has(address)) return false;
    this.held.add(address);
    return true;
  }

  release(address: string): void {
    this.held.delete(address);
  }

  last(set: number): IpAddress | undefined {
    return parseAddress(this.lasts.get(set) ?? '');
  }

  setLast(set: number, address: string): void {
    this.lasts.set(set, address);
  }

  isResting(): boolean {
    return false;
  }

  addresses(): readonly string[] {
    return [...this.held];
  }
}

export function naiveNext(
  store: MemoryReservations,
  set: RangeSet,
  holes: readonly Excluded[],
): string | undefined {
  const row: string[] = [];
  for (const { family, start, end } of set)
    for (let value = start; value <= end; value++) row.push(formatAddress({ family, value }));
  const last = store.lasts.get(0);
  const turn = last === undefined ? 0 : row.indexOf(last) + 1;
  const gateways = set.map(({ family, gateway }) => formatAddress({ family, value: gateway }));
  const excluded = (text: string): boolean => {
    const value = parseAddress(text)?.value ?? 0n;
    return holes.some((hole) => hole.first <= value && value <= hole.last);
  };
  return [...row.slice(turn), ...row.slice(0, turn)].find(
    (text) => !gateways.includes(text) && !excluded(text) && !store.held.has(text),
  );
}
