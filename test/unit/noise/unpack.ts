/**
 * A run of packed ranges, read back by the layout in its module's header.
 * @module
 */
import type { Cidr } from '../../../src/noise/ip.ts';

export function unpack(packed: Uint8Array): Cidr[] {
  const ranges: Cidr[] = [];
  for (let at = 0; at < packed.length; at += 18) {
    const size = packed[at] === 4 ? 4 : 16;
    ranges.push({ address: packed.slice(at + 2, at + 2 + size), prefix: packed[at + 1] ?? 0 });
  }
  return ranges;
}
