/**
 * Fast seeded randomness for inputs by the hundred million: xorshift128 by G. Marsaglia (2003). Not for anything but tests.
 * @module
 */

/** The same numbers for the same seed. */
export class FuzzRandom {
  #x: number;
  #y = 362436069;
  #z = 521288629;
  #w = 88675123;

  constructor(seed: number) {
    // Neighbouring seeds must not begin alike.
    this.#x = (Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ seed) >>> 0;
    for (let i = 0; i < 16; i += 1) this.next();
  }

  /** Thirty-two random bits, unsigned. */
  next(): number {
    const t = this.#x ^ (this.#x << 11);
    this.#x = this.#y;
    this.#y = this.#z;
    this.#z = this.#w;
    this.#w = this.#w ^ (this.#w >>> 19) ^ t ^ (t >>> 8);
    return this.#w >>> 0;
  }

  /** From 0 to limit - 1. */
  below(limit: number): number {
    return this.next() % limit;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)] as T;
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.next() & 0xff);
  }
}

/** Values that parsers stumble over sooner than over others. */
const AWKWARD = [0, 1, 2, 3, 4, 5, 0x7f, 0x80, 0xff, 0x45, 0x60];

/** A copy of `bytes` with up to `changes` places overwritten, sometimes cut or lengthened. */
export function mutate(random: FuzzRandom, bytes: Uint8Array, changes: number): Uint8Array {
  const kind = random.below(8);
  const length =
    kind === 0 ? random.below(bytes.length + 1) : kind === 1 ? bytes.length + random.below(40) : bytes.length;
  const copy = new Uint8Array(length);
  copy.set(bytes.subarray(0, length));
  if (length === 0) return copy;
  for (let i = random.below(changes + 1); i > 0; i -= 1) {
    const at = random.below(random.below(2) === 0 ? Math.min(length, 16) : length);
    copy[at] = random.below(2) === 0 ? random.pick(AWKWARD) : random.next() & 0xff;
  }
  return copy;
}
