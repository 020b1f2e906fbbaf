/**
 * What the transport side wants done, in the order it was found out: a ring of ints that the caller drains.
 * An action for a peer that is already waiting is not queued twice, so the ring holds at most four entries a peer plus
 * the keypairs that are gone; it doubles when a change of configuration fills it, not on the packet path.
 *
 *            head              tail
 *     |      | kind | value | …  |      |      capacity is a power of two, indices run on and are masked
 * @module
 */

/** Start a handshake with the peer: a fresh series of attempts. */
export const INITIATE = 0;
/** Send another initiation of the series that is going on. */
export const INITIATE_RETRY = 1;
/** Send an empty packet to the peer. */
export const KEEPALIVE = 2;
/** Seal and send what is staged for the peer. */
export const FLUSH_STAGED = 3;
/** The keypair of this local index is gone: release the index. The value is the index (u32), not a peer. */
export const KEYPAIR_GONE = 4;
/** The peer's key material was wiped: forget a handshake that is under way, too. */
export const HANDSHAKE_STALE = 5;
/** The peer was heard from another address than before, and that is its endpoint now. For whoever wants to know. */
export const ROAMED = 6;

export type ActionKind = 0 | 1 | 2 | 3 | 4 | 5 | 6;

export class ActionQueue {
  /** The action that `next` found. */
  kind = 0;
  /** Its peer, or the local index of KEYPAIR_GONE. */
  value = 0;
  #ring = new Int32Array(512);
  #head = 0;
  #tail = 0;
  /** A bit per kind that is queued, by peer. */
  #queued = new Uint8Array(16);

  ensurePeers(count: number): void {
    if (count <= this.#queued.length) return;
    const grown = new Uint8Array(Math.max(count, 2 * this.#queued.length));
    grown.set(this.#queued);
    this.#queued = grown;
  }

  get size(): number {
    return (this.#tail - this.#head) >>> 1;
  }

  push(kind: ActionKind, value: number): void {
    if (kind !== KEYPAIR_GONE) {
      const queued = this.#queued[value] as number;
      if ((queued & (1 << kind)) !== 0) return;
      this.#queued[value] = queued | (1 << kind);
    }
    if (this.#tail - this.#head === this.#ring.length) this.#grow();
    const mask = this.#ring.length - 1;
    this.#ring[this.#tail & mask] = kind;
    this.#ring[(this.#tail + 1) & mask] = value;
    this.#tail += 2;
  }

  /** Takes the oldest action into `kind` and `value`; false when there is none. */
  next(): boolean {
    if (this.#head === this.#tail) {
      // Both run on; starting over while empty keeps them small integers.
      this.#head = 0;
      this.#tail = 0;
      return false;
    }
    const mask = this.#ring.length - 1;
    this.kind = this.#ring[this.#head & mask] as number;
    const value = this.#ring[(this.#head + 1) & mask] as number;
    this.#head += 2;
    if (this.kind === KEYPAIR_GONE) this.value = value >>> 0;
    else {
      this.value = value;
      this.#queued[value] = (this.#queued[value] as number) & ~(1 << this.kind);
    }
    return true;
  }

  #grow(): void {
    const old = this.#ring;
    const grown = new Int32Array(old.length * 2);
    const count = this.#tail - this.#head;
    for (let i = 0; i < count; i += 1) grown[i] = old[(this.#head + i) & (old.length - 1)] as number;
    this.#ring = grown;
    this.#head = 0;
    this.#tail = count;
  }
}
