/**
 * How many handshakes one source may cost us while we are under load.
 * Source: WireGuard paper §5.3; kernel ratelimiter.c: token buckets, IPv6 by /64, a bounded table.
 * @module
 */
import { RATE_LIMIT_BURST, RATE_LIMIT_PER_SECOND, RATE_LIMIT_SOURCES } from './constants.ts';

/** Milliseconds of credit: an event costs 50, a full bucket holds 250. */
const COST = 1000 / RATE_LIMIT_PER_SECOND;
const CAPACITY = COST * RATE_LIMIT_BURST;
/** A bucket left alone this long is full again and need not be remembered. */
const IDLE_AFTER = 1_000;

interface Bucket {
  tokens: number;
  touchedAt: number;
}

/** The network a source is counted by: an IPv4 address, or the /64 that one IPv6 customer has to himself. */
function keyOf(address: Uint8Array): string {
  return address.length === 4 ? address.join('.') : address.subarray(0, 8).join(':');
}

export class RateLimiter {
  readonly #buckets = new Map<string, Bucket>();
  readonly #maxSources: number;
  #sweptAt = Number.NEGATIVE_INFINITY;

  constructor(maxSources: number = RATE_LIMIT_SOURCES) {
    this.#maxSources = maxSources;
  }

  /** Sources remembered now. */
  get size(): number {
    return this.#buckets.size;
  }

  /** `address` is four or sixteen bytes, without the port. */
  allow(address: Uint8Array, now: number): boolean {
    if (now - this.#sweptAt >= IDLE_AFTER) this.#sweep(now);
    const key = keyOf(address);
    const bucket = this.#buckets.get(key);
    if (bucket === undefined) {
      // ratelimiter.c: a full table refuses newcomers, so that forged sources cannot make it grow.
      if (this.#buckets.size >= this.#maxSources) return false;
      this.#buckets.set(key, { tokens: CAPACITY - COST, touchedAt: now });
      return true;
    }
    const tokens = Math.min(CAPACITY, bucket.tokens + Math.max(0, now - bucket.touchedAt));
    bucket.touchedAt = now;
    const allowed = tokens >= COST;
    bucket.tokens = allowed ? tokens - COST : tokens;
    return allowed;
  }

  #sweep(now: number): void {
    for (const [key, bucket] of this.#buckets) {
      if (now - bucket.touchedAt > IDLE_AFTER) this.#buckets.delete(key);
    }
    this.#sweptAt = now;
  }
}
