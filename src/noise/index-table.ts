/**
 * From the receiver index of a datagram to the slot of its keypair, without allocating.
 * Source: WireGuard paper §5.4.6 (receiver index); wireguard-go device/indextable.go for what it must hold.
 * Open addressing with linear probing: two words a cell, key and value. Deleting moves later cells of the run back
 * (Knuth, TAOCP 6.4 algorithm R), so there are no tombstones and a look-up stays short however often keys change.
 * @module
 */

const EMPTY = -1;
/** 2^32 divided by the golden ratio, odd: spreads the indices, which a test may well draw as 1, 2, 3. */
const SPREAD = 0x9e37_79b1;

export class IndexTable {
  #cells: Int32Array;
  #mask: number;
  #shift: number;
  #size = 0;

  constructor() {
    this.#cells = new Int32Array(2 * 64).fill(EMPTY);
    this.#mask = 63;
    this.#shift = 26;
  }

  get size(): number {
    return this.#size;
  }

  /** The value stored for this u32, or -1. */
  get(index: number): number {
    const cells = this.#cells;
    const key = index | 0;
    let cell = Math.imul(key, SPREAD) >>> this.#shift;
    for (;;) {
      const value = cells[2 * cell + 1] as number;
      if (value === EMPTY || cells[2 * cell] === key) return value;
      cell = (cell + 1) & this.#mask;
    }
  }

  /** Stores a value of 0 or more, replacing one that is there. */
  set(index: number, value: number): void {
    if (2 * (this.#size + 1) > this.#mask + 1) this.#grow();
    const cell = this.#find(index | 0);
    if (this.#cells[2 * cell + 1] === EMPTY) this.#size += 1;
    this.#cells[2 * cell] = index | 0;
    this.#cells[2 * cell + 1] = value;
  }

  /** Forgets the key; false when it was not there. */
  delete(index: number): boolean {
    const cells = this.#cells;
    let hole = this.#find(index | 0);
    if (cells[2 * hole + 1] === EMPTY) return false;
    let cell = hole;
    for (;;) {
      cell = (cell + 1) & this.#mask;
      if (cells[2 * cell + 1] === EMPTY) break;
      // A cell may move back unless its home lies cyclically between the hole (exclusive) and itself.
      const home = Math.imul(cells[2 * cell] as number, SPREAD) >>> this.#shift;
      if (((cell - home) & this.#mask) < ((cell - hole) & this.#mask)) continue;
      cells[2 * hole] = cells[2 * cell] as number;
      cells[2 * hole + 1] = cells[2 * cell + 1] as number;
      hole = cell;
    }
    cells[2 * hole + 1] = EMPTY;
    this.#size -= 1;
    return true;
  }

  /** The cell of the key, or the empty one where it would go. */
  #find(key: number): number {
    let cell = Math.imul(key, SPREAD) >>> this.#shift;
    while (this.#cells[2 * cell + 1] !== EMPTY && this.#cells[2 * cell] !== key)
      cell = (cell + 1) & this.#mask;
    return cell;
  }

  #grow(): void {
    const old = this.#cells;
    this.#cells = new Int32Array(old.length * 2).fill(EMPTY);
    this.#mask = this.#mask * 2 + 1;
    this.#shift -= 1;
    for (let i = 0; i < old.length; i += 2) {
      if (old[i + 1] === EMPTY) continue;
      const cell = this.#find(old[i] as number);
      this.#cells[2 * cell] = old[i] as number;
      this.#cells[2 * cell + 1] = old[i + 1] as number;
    }
  }
}
