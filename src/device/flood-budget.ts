/**
 * How much of some costly thing a flood may ask for, and whose: what is left of the budget of ten milliseconds goes to
 * those who have had least of it. A message that is not served is one of many from its source; whoever sends one in five seconds
 * is served beside any number of others, unless those come from as many sources as there are messages.
 *
 * Sources share places in a table, by a hash that changes with every window, so that nobody shares with a flood twice.
 * @module
 */
import { ENDPOINT_LENGTH } from '../tun/endpoint.ts';

const WINDOW = 10;
export interface Share {
  /** In a window: what goes to whoever asks first, */
  readonly free: number;
  /** beyond that, what one source may have, */
  readonly fair: number;
  /** and all together. */
  readonly most: number;
}

const PLACES = 4096;
const IPV6_LENGTH = 28;

export class FloodBudget {
  readonly #share: Share;
  readonly #given = new Uint16Array(PLACES);
  #total = 0;
  #began = Number.NEGATIVE_INFINITY;
  #seed: number;

  constructor(share: Share, seed: number) {
    this.#share = share;
    this.#seed = seed | 0;
  }

  /** Whether the source of the endpoint record has had its share, or there is nothing left for anybody. */
  isSpent(bytes: Uint8Array, source: number, now: number): boolean {
    if (now - this.#began >= WINDOW) {
      this.#began = now;
      if (this.#total > 0) this.#given.fill(0);
      this.#total = 0;
      this.#seed = (Math.imul(this.#seed, 1664525) + 1013904223) | 0;
    }
    const { free, fair, most } = this.#share;
    if (this.#total < free) return false;
    return this.#total >= most || (this.#given[this.#place(bytes, source)] as number) >= fair;
  }

  /** The source was served. */
  spend(bytes: Uint8Array, source: number): void {
    const place = this.#place(bytes, source);
    this.#given[place] = (this.#given[place] as number) + 1;
    this.#total += 1;
  }

  #place(bytes: Uint8Array, source: number): number {
    let hash = this.#seed;
    const length = bytes[source + ENDPOINT_LENGTH] === IPV6_LENGTH ? 24 : 8;
    for (let i = 2; i < length; i += 1) hash = Math.imul(hash ^ (bytes[source + i] as number), 0x01000193);
    hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);
    return (hash ^ (hash >>> 13)) & (PLACES - 1);
  }
}
