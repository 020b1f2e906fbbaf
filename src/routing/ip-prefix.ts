/**
 * What the mesh asks of prefixes beyond parsing: overlap, the n-th address of a pool, Kilo's public test,
 * and an index of prefixes that answers without walking them all.
 * Source: kilo pkg/mesh (topology and discoverips behaviour); RFC 4632 §3.1 for prefixes.
 * @module
 */

import { type Address, type Cidr, contains, network } from '../noise/ip.ts';

/** Prefixes nest or are apart: they meet exactly when the shorter holds the other's base. */
export const overlaps = (a: Cidr, b: Cidr): boolean =>
  a.prefix <= b.prefix ? contains(a, b.address) : contains(b, a.address);

/** The `n`-th address of a pool counted from its base, or null when the pool ends before it. */
export const nthAddress = (pool: Cidr, n: number): Address | null => {
  const address = network(pool).address;
  let carry = n;
  for (let i = address.length - 1; i >= 0 && carry > 0; i--) {
    carry += address[i] ?? 0;
    address[i] = carry % 256;
    carry = Math.floor(carry / 256);
  }
  return carry === 0 && contains(pool, address) ? address : null;
};

/**
 * Kilo's test, which decides who leads: 100.64.0.0/10 and every ULA outside fd00::/16 count as public.
 * Agents that judged better than this would elect other leaders than their neighbours.
 */
export const isPublic = (address: Address): boolean => {
  const [a = 0, b = 0] = address;
  if (address.length === 16) return !(a === 0xfd && b === 0x00);
  return !(a === 10 || (a === 172 && b >= 16 && b < 32) || (a === 192 && b === 168));
};

export const isUnspecified = (address: Address): boolean => address.every((byte) => byte === 0);

/** Equal for prefixes that are the same network, whatever their host bits; a map key, not for people. */
export const networkKey = ({ address, prefix }: Cidr): string => {
  if (address.length !== 4) return String.fromCharCode(prefix, ...network({ address, prefix }).address);
  // Thousands a pass: no copy to clear bits in.
  const [a = 0, b = 0, c = 0, d = 0] = address;
  const bits = ((a << 24) | (b << 16) | (c << 8) | d) & (prefix === 0 ? 0 : -1 << (32 - prefix));
  return String.fromCharCode(prefix, bits >>> 24, (bits >>> 16) & 0xff, (bits >>> 8) & 0xff, bits & 0xff);
};

/** A map key for any few bytes; not for people. */
export const addressKey = (address: Address): string => String.fromCharCode.apply(null, address as never);

/** Values by prefix; finds what covers an address with one look-up per prefix length in use. */
export class PrefixIndex<Value> {
  readonly #byNetwork = new Map<string, Value>();
  readonly #lengths = new Set<number>();

  get(cidr: Cidr): Value | undefined {
    return this.#byNetwork.get(networkKey(cidr));
  }

  set(cidr: Cidr, value: Value): void {
    this.#byNetwork.set(networkKey(cidr), value);
    this.#lengths.add(cidr.prefix);
  }

  /** The value of the shortest prefix, `longest` bits at most, that contains the address. */
  covering(address: Address, longest = address.length * 8): Value | undefined {
    let best: Value | undefined;
    let bestLength = longest + 1;
    for (const prefix of this.#lengths) {
      if (prefix >= bestLength) continue;
      const value = this.#byNetwork.get(networkKey({ address, prefix }));
      if (value === undefined) continue;
      best = value;
      bestLength = prefix;
    }
    return best;
  }
}
