/**
 * What a finished handshake leaves behind, and the numbers by which the two sides name it.
 * Source: WireGuard paper §5.4.5 (transport keys), §5.4 (sender and receiver indices).
 * @module
 */

/** Handed to the transport side, which owns the buffers from then on and wipes them. */
export interface SessionKeys {
  /** The caller's number of the peer. */
  readonly peer: number;
  /** The receiver index the peer writes; whoever drops the session releases it. */
  readonly localIndex: number;
  /** The receiver index we write. */
  readonly remoteIndex: number;
  readonly sendKey: Uint8Array;
  readonly receiveKey: Uint8Array;
  readonly isInitiator: boolean;
  /** Monotonic milliseconds. */
  readonly createdAt: number;
}

/** One table per device: an index means at most one handshake or one session at a time. */
export interface IndexAllocator {
  /** A random u32 that is not in use. */
  allocate(): number;
  release(index: number): void;
}

/** The plain table: indices drawn at random until one is free, so that an observer learns nothing from them. */
export class RandomIndices implements IndexAllocator {
  readonly #used = new Set<number>();
  readonly #randomBytes: (length: number) => Uint8Array;

  constructor(randomBytes: (length: number) => Uint8Array) {
    this.#randomBytes = randomBytes;
  }

  get size(): number {
    return this.#used.size;
  }

  allocate(): number {
    // Fewer than 2^20 indices are ever in use, so a second draw is already rare.
    for (;;) {
      const bytes = this.#randomBytes(4);
      const index = new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
      if (this.#used.has(index)) continue;
      this.#used.add(index);
      return index;
    }
  }

  /** An index that is in use already, from another life. */
  adopt(index: number): void {
    this.#used.add(index);
  }

  release(index: number): void {
    this.#used.delete(index);
  }
}
