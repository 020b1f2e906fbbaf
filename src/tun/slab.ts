/**
 * The buffer slab: one WebAssembly memory, sized once, that holds every packet buffer, key and table of the data
 * path. It is handed out once at start and never grows; what does not fit is refused by whoever asked for it.
 *
 *     0            heapBase                                                             size
 *     | kernel     | control | TUN in | UDP in | UDP out | GRO slots | staged | keypairs |
 * @module
 */
import { addressOf } from '../linux/libc.ts';

const PAGE = 65_536;

export class Slab {
  readonly memory: WebAssembly.Memory;
  /** Where offset 0 of the memory lies in this process. */
  readonly address: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly words: Int32Array;
  #next = 0;

  /** `size` in bytes, rounded up to WebAssembly pages of 64 KiB. */
  constructor(size: number) {
    const pages = Math.ceil(size / PAGE);
    this.memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    this.bytes = new Uint8Array(this.memory.buffer);
    this.view = new DataView(this.memory.buffer);
    this.words = new Int32Array(this.memory.buffer);
    this.address = addressOf(this.bytes);
  }

  /** Tells where the kernel's own data ends; nothing is handed out below. */
  reserveKernel(heapBase: number): void {
    this.#next = Math.max(this.#next, heapBase);
  }

  /** Hands out `size` bytes, aligned to 64; throws RangeError when the slab was made too small (a mistake of ours). */
  take(size: number): number {
    const offset = (this.#next + 63) & ~63;
    if (offset + size > this.bytes.length) throw new RangeError(`slab exhausted: ${offset} + ${size}`);
    this.#next = offset + size;
    return offset;
  }

  /** Bytes handed out so far. */
  get used(): number {
    return this.#next;
  }
}
