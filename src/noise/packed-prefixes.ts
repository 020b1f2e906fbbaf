/**
 * Address ranges in one run of bytes, so that a thousand of them are one array to pass on and none of them an object.
 *
 *     | family 4 or 6 | prefix length | address: 16 bytes, of IPv4 the first four |
 * @module
 */
import type { Cidr } from './ip.ts';

export const PACKED_PREFIX_SIZE = 18;
export const PACKED_ADDRESS = 2;
const FIRST_CAPACITY = 8;

/** A list that is filled one by one and taken as a whole. */
export class PackedPrefixes {
  readonly #limit: number;
  #bytes = new Uint8Array(FIRST_CAPACITY * PACKED_PREFIX_SIZE);
  #length = 0;

  /** `limit`: how many it holds. */
  constructor(limit: number) {
    this.#limit = limit * PACKED_PREFIX_SIZE;
  }

  get isEmpty(): boolean {
    return this.#length === 0;
  }

  get isFull(): boolean {
    return this.#length >= this.#limit;
  }

  add({ address, prefix }: Cidr): void {
    if (this.#length === this.#bytes.length) {
      const larger = new Uint8Array(2 * this.#length);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    const bytes = this.#bytes;
    const at = this.#length;
    bytes[at] = address.length === 4 ? 4 : 6;
    bytes[at + 1] = prefix;
    for (let i = 0; i < address.length; i += 1) bytes[at + PACKED_ADDRESS + i] = address[i] as number;
    this.#length += PACKED_PREFIX_SIZE;
  }

  /** What was added since the last time, as an array of its own. */
  take(): Uint8Array {
    const taken = this.#bytes.slice(0, this.#length);
    this.#length = 0;
    return taken;
  }

  clear(): void {
    this.#length = 0;
  }
}

export function packPrefixes(ranges: readonly Cidr[]): Uint8Array {
  const packed = new PackedPrefixes(ranges.length);
  for (const range of ranges) packed.add(range);
  return packed.take();
}
