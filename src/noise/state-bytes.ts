/**
 * State as bytes, to be read by another process, perhaps of a later release: numbers, byte strings and records.
 *
 *     record    | length u32 | fields … |       a reader that knows fewer fields passes over the rest,
 *                                               one that knows more is told that there are none left
 *     bytes     | length u32 | … |
 *
 * Little-endian throughout. What is written may be secret: buffers that become too small are wiped, and `wipe` ends it.
 * @module
 */
import { secretBytes } from './primitives.ts';

const FIRST_SIZE = 64 * 1024;

/** What was to be read is not what it should be. */
export class StateError extends Error {
  readonly code = 'ERR_STATE_FORMAT';

  constructor(what: string) {
    super(`The state is not whole (${what}).`);
    this.name = 'StateError';
  }
}

export class StateWriter {
  #bytes = secretBytes(FIRST_SIZE);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  /** What was written so far; lent until more is written. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#length);
  }

  #room(size: number): number {
    const at = this.#length;
    this.#length += size;
    if (this.#length > this.#bytes.length) {
      const larger = secretBytes(Math.max(2 * this.#bytes.length, this.#length));
      larger.set(this.#bytes.subarray(0, at));
      this.#bytes.fill(0);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }

  u8(value: number): void {
    const at = this.#room(1);
    this.#view.setUint8(at, value);
  }

  u32(value: number): void {
    const at = this.#room(4);
    this.#view.setUint32(at, value, true);
  }

  f64(value: number): void {
    const at = this.#room(8);
    this.#view.setFloat64(at, value, true);
  }

  /** Their number is known to both sides. */
  raw(bytes: Uint8Array): void {
    const at = this.#room(bytes.length);
    this.#bytes.set(bytes, at);
  }

  bytesOf(bytes: Uint8Array): void {
    this.u32(bytes.length);
    this.raw(bytes);
  }

  /** Empty stands for nothing. */
  optional(bytes: Uint8Array | null | undefined): void {
    this.bytesOf(bytes ?? new Uint8Array(0));
  }

  text(value: string): void {
    this.bytesOf(new TextEncoder().encode(value));
  }

  record(write: () => void): void {
    const at = this.#room(4);
    write();
    this.#view.setUint32(at, this.#length - at - 4, true);
  }

  wipe(): void {
    this.#bytes.fill(0);
  }
}

export class StateReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  /** Reads what StateWriter wrote; the bytes are lent until it is done. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** There are fields left. */
  get hasMore(): boolean {
    return this.#at < this.#bytes.length;
  }

  #take(size: number): number {
    const at = this.#at;
    if (size > this.#bytes.length - at) throw new StateError(`${size} bytes at ${at}`);
    this.#at += size;
    return at;
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  f64(): number {
    return this.#view.getFloat64(this.#take(8), true);
  }

  /** Lent. */
  raw(length: number): Uint8Array {
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  /** Lent. */
  bytesOf(): Uint8Array {
    return this.raw(this.u32());
  }

  /** A copy of exactly `length` bytes, or undefined. */
  optional(length: number): Uint8Array | undefined {
    const bytes = this.bytesOf();
    if (bytes.length === 0) return undefined;
    if (bytes.length !== length) throw new StateError(`${bytes.length} bytes for ${length}`);
    const copy = secretBytes(length);
    copy.set(bytes);
    return copy;
  }

  text(): string {
    return new TextDecoder().decode(this.bytesOf());
  }

  record(): StateReader {
    return new StateReader(this.bytesOf());
  }
}
