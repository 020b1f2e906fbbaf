/**
 * The indices of our own latest handshake messages: only those can be answered, by a response or by a cookie reply.
 * They are random numbers of 32 bits, so whoever names one has seen the message.
 *
 * A table of pairs in which the newer pushes out the older: what is lost that way is asked again in five seconds.
 * @module
 */

/** Twice as many places as there may be peers. */
const PAIRS = 65_536;

export class AskedIndices {
  /** Pages that nobody writes to cost nothing. Zero is no index here. */
  readonly #places = new Int32Array(2 * PAIRS);

  add(index: number): void {
    const first = 2 * (index & (PAIRS - 1));
    if (this.#places[first] === (index | 0)) return;
    this.#places[first + 1] = this.#places[first] as number;
    this.#places[first] = index;
  }

  has(index: number): boolean {
    const first = 2 * (index & (PAIRS - 1));
    const signed = index | 0;
    return signed !== 0 && (this.#places[first] === signed || this.#places[first + 1] === signed);
  }
}
