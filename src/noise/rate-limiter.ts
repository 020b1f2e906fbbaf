/**
 * How many handshakes one source may cost us while we are under load.
 * Source: WireGuard paper §5.3; kernel ratelimiter.c: token buckets, IPv6 by /64, a bounded table.
 *
 * The table is arrays of a fixed size: it is asked on the packet path, and by whoever likes.
 * @module
 */
import { RATE_LIMIT_BURST, RATE_LIMIT_PER_SECOND, RATE_LIMIT_SOURCES } from './constants.ts';

/** Milliseconds of credit: an event costs 50, a full bucket holds 250. */
const COST = 1000 / RATE_LIMIT_PER_SECOND;
const CAPACITY = COST * RATE_LIMIT_BURST;
/** A bucket left alone this long is full again and need not be remembered. */
const IDLE_AFTER = 1_000;
const EMPTY = -1;

export class RateLimiter {
  readonly #maxSources: number;
  readonly #seed: number;
  /** Hash table with linear probing: a row of the bucket arrays, or EMPTY. */
  readonly #table: Int32Array;
  readonly #mask: number;
  /** The network a source is counted by: an IPv4 address, or the /64 that one IPv6 customer has to himself. */
  readonly #high: Uint32Array;
  readonly #low: Uint32Array;
  readonly #isV6: Uint8Array;
  readonly #tokens: Float64Array;
  readonly #touchedAt: Float64Array;
  #size = 0;
  #sweptAt = Number.NEGATIVE_INFINITY;

  /** `seed` should be a random number of 32 bits, so that nobody can aim at one place of the table. */
  constructor(maxSources: number = RATE_LIMIT_SOURCES, seed = 0) {
    this.#maxSources = maxSources;
    this.#seed = seed | 0;
    let slots = 2;
    while (slots < 2 * maxSources) slots *= 2;
    this.#mask = slots - 1;
    this.#table = new Int32Array(slots).fill(EMPTY);
    this.#high = new Uint32Array(maxSources);
    this.#low = new Uint32Array(maxSources);
    this.#isV6 = new Uint8Array(maxSources);
    this.#tokens = new Float64Array(maxSources);
    this.#touchedAt = new Float64Array(maxSources);
  }

  /** Sources remembered now. */
  get size(): number {
    return this.#size;
  }

  /** `address` is four or sixteen bytes, without the port. */
  allow(address: Uint8Array, now: number): boolean {
    return this.allowAt(address, 0, address.length === 16, now);
  }

  /** The same for an address that lies in `bytes`. */
  allowAt(bytes: Uint8Array, at: number, isV6: boolean, now: number): boolean {
    if (now - this.#sweptAt >= IDLE_AFTER) this.#sweep(now);
    const high = isV6 ? word(bytes, at) : 0;
    const low = isV6 ? word(bytes, at + 4) : word(bytes, at);
    const slot = this.#find(high, low, isV6 ? 1 : 0);
    const row = this.#table[slot] as number;
    if (row === EMPTY) {
      // ratelimiter.c: a full table refuses newcomers, so that forged sources cannot make it grow.
      if (this.#size >= this.#maxSources) return false;
      this.#write(this.#size, high, low, isV6 ? 1 : 0, CAPACITY - COST, now);
      this.#table[slot] = this.#size;
      this.#size += 1;
      return true;
    }
    const waited = Math.max(0, now - (this.#touchedAt[row] as number));
    const tokens = Math.min(CAPACITY, (this.#tokens[row] as number) + waited);
    this.#touchedAt[row] = now;
    const allowed = tokens >= COST;
    this.#tokens[row] = allowed ? tokens - COST : tokens;
    return allowed;
  }

  #write(row: number, high: number, low: number, isV6: number, tokens: number, touchedAt: number): void {
    this.#high[row] = high;
    this.#low[row] = low;
    this.#isV6[row] = isV6;
    this.#tokens[row] = tokens;
    this.#touchedAt[row] = touchedAt;
  }

  /** Where the network is in the table, or would be. */
  #find(high: number, low: number, isV6: number): number {
    let slot = mix(high, low, this.#seed ^ isV6) & this.#mask;
    for (;;) {
      const row = this.#table[slot] as number;
      if (row === EMPTY) return slot;
      if (this.#low[row] === low && this.#high[row] === high && this.#isV6[row] === isV6) return slot;
      slot = (slot + 1) & this.#mask;
    }
  }

  #sweep(now: number): void {
    const rows = this.#size;
    this.#size = 0;
    this.#table.fill(EMPTY);
    for (let row = 0; row < rows; row += 1) {
      const touchedAt = this.#touchedAt[row] as number;
      if (now - touchedAt > IDLE_AFTER) continue;
      const high = this.#high[row] as number;
      const low = this.#low[row] as number;
      const isV6 = this.#isV6[row] as number;
      this.#write(this.#size, high, low, isV6, this.#tokens[row] as number, touchedAt);
      this.#table[this.#find(high, low, isV6)] = this.#size;
      this.#size += 1;
    }
    this.#sweptAt = now;
  }
}

function word(bytes: Uint8Array, at: number): number {
  const high = ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
  return ((high << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number)) >>> 0;
}

/** Spreads two words over 32 bits (the finalizer of MurmurHash3, twice). */
function mix(high: number, low: number, seed: number): number {
  let h = seed ^ high;
  for (let i = 0; i < 2; i += 1) {
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    h = (h ^ (h >>> 16)) + low;
  }
  return (h ^ (h >>> 15)) >>> 0;
}
