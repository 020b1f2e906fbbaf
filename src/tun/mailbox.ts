/**
 * A bounded ring in shared memory that carries handshake messages from the data-plane thread to the control thread:
 * a flood of them costs the data plane one copy each, allocates nothing, and what does not fit is dropped.
 *
 *     words 0: head (written by the producer)   16: tail (by the consumer)   32: consumer waits (1) or works (0)
 *     byte 256 + 256 i: slot i = | endpoint record 64 | length 4 | message ≤ 188 |
 *
 * One producer, one consumer.
 * @module
 */
import { ENDPOINT_SIZE } from './endpoint.ts';

const HEAD = 0;
const TAIL = 16;
const WAITING = 32;
const FIRST = 256;
const SLOT = 256;
const LENGTH = ENDPOINT_SIZE;
const MESSAGE = ENDPOINT_SIZE + 4;
/** The longest message a slot takes, in bytes; a handshake initiation has 148. */
export const MAILBOX_MESSAGE = SLOT - MESSAGE;

export class Mailbox {
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly slots: number;

  /** `slots` must be a power of two. */
  static allocate(slots: number): SharedArrayBuffer {
    return new SharedArrayBuffer(FIRST + slots * SLOT);
  }

  constructor(buffer: SharedArrayBuffer) {
    this.#words = new Int32Array(buffer);
    this.#bytes = new Uint8Array(buffer);
    this.slots = (buffer.byteLength - FIRST) / SLOT;
  }

  /** Messages waiting. */
  get length(): number {
    return (Atomics.load(this.#words, HEAD) - Atomics.load(this.#words, TAIL)) | 0;
  }

  /** Producer: copies a message and its source in; false when the ring is full. */
  put(from: Uint8Array, offset: number, length: number, endpoint: number): boolean {
    if (length > MAILBOX_MESSAGE || this.length >= this.slots) return false;
    const head = Atomics.load(this.#words, HEAD);
    const slot = FIRST + (head & (this.slots - 1)) * SLOT;
    const bytes = this.#bytes;
    for (let i = 0; i < ENDPOINT_SIZE; i += 1) bytes[slot + i] = from[endpoint + i] as number;
    this.#words[(slot + LENGTH) >> 2] = length;
    for (let i = 0; i < length; i += 1) bytes[slot + MESSAGE + i] = from[offset + i] as number;
    Atomics.store(this.#words, HEAD, (head + 1) | 0);
    return true;
  }

  /** Producer, after put: true when the consumer sleeps and has to be woken, once. */
  mustWake(): boolean {
    return Atomics.exchange(this.#words, WAITING, 0) === 1;
  }

  /**
   * Consumer: the oldest message, or undefined when there is none and the producer will wake us. Both arrays are
   * copies out of the ring.
   */
  take(): { message: Uint8Array; endpoint: Uint8Array } | undefined {
    if (this.length === 0) {
      Atomics.store(this.#words, WAITING, 1);
      if (this.length === 0) return undefined;
      Atomics.store(this.#words, WAITING, 0);
    }
    const tail = Atomics.load(this.#words, TAIL);
    const slot = FIRST + (tail & (this.slots - 1)) * SLOT;
    const length = this.#words[(slot + LENGTH) >> 2] as number;
    const endpoint = Uint8Array.from(this.#bytes.subarray(slot, slot + ENDPOINT_SIZE));
    const message = Uint8Array.from(this.#bytes.subarray(slot + MESSAGE, slot + MESSAGE + length));
    Atomics.store(this.#words, TAIL, (tail + 1) | 0);
    return { message, endpoint };
  }
}
