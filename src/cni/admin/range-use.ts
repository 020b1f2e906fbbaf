/**
 * How full the ranges of a network are.
 * @module
 */
import { capacity, describeSet, rangeOf } from '../ipam/address-pool.ts';
import { parseAddress } from '../ipam/ip-address.ts';
import { LeaseStore } from '../ipam/lease-store.ts';
import type { Network } from './network.ts';

export interface RangeUse {
  /** "10.42.0.1-10.42.0.254" */
  readonly range: string;
  /** Decimal: a range of IPv6 has more addresses than a JSON number can tell. */
  readonly total: string;
  readonly held: number;
  readonly free: string;
}

export function rangeUse({ config, paths }: Network): readonly RangeUse[] {
  if (config?.ipam === undefined) return [];
  const { sets, excluded } = config.ipam;
  const held = new LeaseStore(paths.leases, { containerId: '', ifname: '' }, '')
    .addresses()
    .map(parseAddress)
    .filter((address) => address !== undefined);
  return sets.map((set) => {
    const within = held.filter((address) => rangeOf(set, address) !== undefined);
    const outside = within.filter((address) =>
      excluded.some(
        ({ family, first, last }) =>
          family === address.family && first <= address.value && address.value <= last,
      ),
    );
    const total = capacity(set, excluded);
    const free = total - BigInt(within.length - outside.length);
    return {
      range: describeSet(set),
      total: String(total),
      held: within.length,
      free: String(free < 0n ? 0n : free),
    };
  });
}
