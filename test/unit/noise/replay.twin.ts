/**
 * The replay window as a set of numbers: what acceptCounter must do, with no thought for speed.
 * @module
 */

const WINDOW = 8128n;
const LIMIT = 2n ** 64n - 2n ** 13n - 1n;

export class ReplayTwin {
  #last = 0n;
  readonly #seen = new Set<bigint>();

  accept(counter: bigint): boolean {
    if (counter >= LIMIT || this.#seen.has(counter)) return false;
    if (counter > this.#last) this.#last = counter;
    else if (this.#last - counter > WINDOW) return false;
    this.#seen.add(counter);
    return true;
  }
}
