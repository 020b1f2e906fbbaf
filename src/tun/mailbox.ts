/**
 * Two bounded rings in shared memory that carry handshake messages from the data-plane thread to the control thread: a
 * flood of them costs the data plane one copy each, allocates nothing, and what does not fit is dropped. Messages whose
 * sender has proved something have the second ring to themselves, and are taken first: the others cannot keep them out.
 *
 *     words 0: head (written by the producer)   16: tail (by the consumer)   32: consumer waits (1) or works (0)
 *           48 and 64: head and tail of the ring of the proven
 *     byte 512 + 256 i: slot i = | endpoint record 64 | length 4 | message ≤ 188 |; first the open ring's, then the other's
 *
 * One producer, one consumer.
 * @module
 */
import { ENDPOINT_SIZE } from './endpoint.ts';

const WAITING = 32;
const FIRST = 512;
const SLOT = 256;
const LENGTH = ENDPOINT_SIZE;
const MESSAGE = ENDPOINT_SIZE + 4;
/** The longest message a slot takes, in bytes; a handshake initiation has 148. */
export const MAILBOX_MESSAGE = SLOT - MESSAGE;
/** The open ring has this many times the slots of the other. */
const OPEN_TO_PROVEN = 8;

export interface Mail {
  readonly message: Uint8Array;
  readonly endpoint: Uint8Array;
}

/** One of the two. */
class Ring {
  readonly slots: number;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #head: number;
  readonly #tail: number;
  readonly #first: number;

  constructor(buffer: SharedArrayBuffer, head: number, first: number, slots: number) {
    this.#words = new Int32Array(buffer);
    this.#bytes = new Uint8Array(buffer);
    this.#head = head;
    this.#tail = head + 16;
    this.#first = first;
    this.slots = slots;
  }

  get length(): number {
    return (Atomics.load(this.#words, this.#head) - Atomics.load(this.#words, this.#tail)) | 0;
  }

  put(from: Uint8Array, offset: number, length: number, endpoint: number): boolean {
    if (length > MAILBOX_MESSAGE || this.length >= this.slots) return false;
    const head = Atomics.load(this.#words, this.#head);
    const slot = this.#first + (head & (this.slots - 1)) * SLOT;
    const bytes = this.#bytes;
    for (let i = 0; i < ENDPOINT_SIZE; i += 1) bytes[slot + i] = from[endpoint + i] as number;
    this.#words[(slot + LENGTH) >> 2] = length;
    for (let i = 0; i < length; i += 1) bytes[slot + MESSAGE + i] = from[offset + i] as number;
    Atomics.store(this.#words, this.#head, (head + 1) | 0);
    return true;
  }

  take(): Mail | undefined {
    if (this.length === 0) return undefined;
    const tail = Atomics.load(this.#words, this.#tail);
    const slot = this.#first + (tail & (this.slots - 1)) * SLOT;
    const length = this.#words[(slot + LENGTH) >> 2] as number;
    const endpoint = Uint8Array.from(this.#bytes.subarray(slot, slot + ENDPOINT_SIZE));
    const message = Uint8Array.from(this.#bytes.subarray(slot + MESSAGE, slot + MESSAGE + length));
    Atomics.store(this.#words, this.#tail, (tail + 1) | 0);
    return { message, endpoint };
  }
}

export class Mailbox {
  readonly #words: Int32Array;
  readonly #open: Ring;
  readonly #proven: Ring;

  /** `slots` must be a power of two, and at least 8. */
  static allocate(slots: number): SharedArrayBuffer {
    return new SharedArrayBuffer(FIRST + (slots + slots / OPEN_TO_PROVEN) * SLOT);
  }

  constructor(buffer: SharedArrayBuffer) {
    this.#words = new Int32Array(buffer);
    const all = (buffer.byteLength - FIRST) / SLOT;
    const proven = all / (OPEN_TO_PROVEN + 1);
    this.#open = new Ring(buffer, 0, FIRST, all - proven);
    this.#proven = new Ring(buffer, 48, FIRST + (all - proven) * SLOT, proven);
  }

  /** Of the open ring. */
  get slots(): number {
    return this.#open.slots;
  }

  /** Messages waiting in the open ring. */
  get length(): number {
    return this.#open.length;
  }

  /** Producer: copies a message and its source in; false when there is no room. */
  put(from: Uint8Array, offset: number, length: number, endpoint: number): boolean {
    return this.#open.put(from, offset, length, endpoint);
  }

  /** The same for a message whose sender has proved something. */
  putProven(from: Uint8Array, offset: number, length: number, endpoint: number): boolean {
    return this.#proven.put(from, offset, length, endpoint);
  }

  /** Producer, after a put: true when the consumer sleeps and has to be woken, once. */
  mustWake(): boolean {
    return Atomics.exchange(this.#words, WAITING, 0) === 1;
  }

  /**
   * Consumer: the oldest message, the proven first, or undefined when there is none and the producer will wake us. Both
   * arrays are copies out of the ring.
   */
  take(): Mail | undefined {
    const mail = this.#next();
    if (mail !== undefined) return mail;
    Atomics.store(this.#words, WAITING, 1);
    const late = this.#next();
    if (late !== undefined) Atomics.store(this.#words, WAITING, 0);
    return late;
  }

  #next(): Mail | undefined {
    return this.#proven.take() ?? this.#open.take();
  }
}
