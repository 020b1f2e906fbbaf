/**
 * Which of several ranges a packet goes by: the longest that holds its address.
 * Source: RFC 1812 §5.2.4.3 for routes; WireGuard paper §2 for allowed IPs.
 * @module
 */

import { type Address, type Cidr, contains } from '../noise/ip.ts';

/** Of ranges equally long the first; undefined when none holds the address. */
export const longestMatch = <Item>(
  items: Iterable<Item>,
  address: Address,
  rangeOf: (item: Item) => Cidr,
): Item | undefined => {
  let best: Item | undefined;
  let length = -1;
  for (const item of items) {
    const range = rangeOf(item);
    if (range.prefix <= length || !contains(range, address)) continue;
    best = item;
    length = range.prefix;
  }
  return best;
};
