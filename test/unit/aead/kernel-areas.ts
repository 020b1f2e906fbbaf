/**
 * A kernel with areas of its memory for the packet tests, and guard bytes between them: whatever is written outside of
 * the area it belongs to shows in `guardsHold`.
 * @module
 */
import { chacha20poly1305 } from '@noble/ciphers/chacha.js';
import { type Kernel, loadKernel } from '../../../src/aead/kernel.ts';
import { pattern } from './packets.ts';

export const STRIDE = 65_600;
export const SLOTS = 40;
const GUARD = 4096;
const GUARD_BYTE = 0xa5;
const PAGE = 65536;

export interface Plan {
  readonly result: number;
  readonly wireSize: number;
  readonly lastWireSize: number;
  readonly totalSize: number;
  readonly version: number;
}

export const simd128 = { crypto: 'wasm', simd: 128 } as const;
export const simd256 = { crypto: 'wasm', simd: 256 } as const;
export const widths = [
  ['128-bit', simd128],
  ['256-bit', simd256],
] as const;

export class KernelAreas {
  readonly kernel: Kernel;
  readonly bytes: Uint8Array;
  readonly key = pattern(32, 99);
  readonly keyAt: number;
  /** 64 KiB and the virtio header. */
  readonly read: number;
  readonly out: number;
  readonly outSize = 2 * 1024 * 1024;
  readonly slots: number;
  /** One past the last byte of the memory: a touch of it traps. */
  readonly end: number;
  readonly #memory: WebAssembly.Memory;
  readonly #guards: number[] = [];

  constructor(options: typeof simd128 | typeof simd256) {
    const pages = Math.ceil((SLOTS * STRIDE + this.outSize) / PAGE) + 8;
    this.#memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    this.kernel = loadKernel(this.#memory, options);
    this.bytes = new Uint8Array(this.#memory.buffer);
    this.end = this.bytes.length;
    let at = this.kernel.heapBase();
    const area = (size: number): number => {
      this.#guards.push(at);
      this.bytes.fill(GUARD_BYTE, at, at + GUARD);
      const start = at + GUARD;
      at = start + size;
      return start;
    };
    this.keyAt = area(32);
    this.read = area(10 + 65535);
    this.out = area(this.outSize);
    this.slots = area(SLOTS * STRIDE);
    area(0);
    this.bytes.set(this.key, this.keyAt);
  }

  guardsHold(): boolean {
    return this.#guards.every((at) => this.untouched(at, at + GUARD));
  }

  untouched(from: number, to: number): boolean {
    return Buffer.from(this.bytes.buffer, from, to - from).equals(Buffer.alloc(to - from, GUARD_BYTE));
  }

  take(at: number, length: number): Uint8Array {
    return this.bytes.slice(at, at + length);
  }

  plan(read: Uint8Array, mtu: number): Plan {
    this.bytes.set(read, this.read);
    const result = this.kernel.plan(this.read, read.length, mtu);
    const [, wireSize, lastWireSize, totalSize, version] = new Int32Array(
      this.#memory.buffer,
      this.kernel.planAddress(),
      6,
    );
    return {
      result,
      wireSize: wireSize!,
      lastWireSize: lastWireSize!,
      totalSize: totalSize!,
      version: version!,
    };
  }

  /** Seals the planned read, `step` segments a call, and returns the messages. */
  seal(plan: Plan, receiver: number, ctrLo: number, ctrHi: number, step = plan.result): Uint8Array[] {
    const messages: Uint8Array[] = [];
    for (let first = 0; first < plan.result; first += step) {
      const count = Math.min(step, plan.result - first);
      const carry = ctrLo + first > 0xffffffff ? 1 : 0;
      this.bytes.fill(GUARD_BYTE, this.out, this.out + 128 + count * plan.wireSize);
      const written = this.kernel.sealPlanned(
        this.keyAt,
        receiver,
        (ctrLo + first) >>> 0,
        ctrHi + carry,
        first,
        step,
        this.out,
      );
      if (!this.untouched(this.out + written, this.out + written + 128))
        throw new Error('wrote past the last message');
      let at = 0;
      for (let i = 0; i < count; i++) {
        const size = first + i === plan.result - 1 ? plan.lastWireSize : plan.wireSize;
        messages.push(this.take(this.out + at, size));
        at += size;
      }
      if (at !== written) throw new Error(`planned ${at} bytes, wrote ${written}`);
    }
    return messages;
  }

  /** The plaintext of a transport message, by noble. */
  open(message: Uint8Array): Uint8Array {
    const nonce = Uint8Array.of(0, 0, 0, 0, ...message.subarray(8, 16));
    return chacha20poly1305(this.key, nonce).decrypt(message.subarray(16));
  }

  /** The TUN writes that the packets become. */
  coalesce(packets: readonly Uint8Array[], options: number, maxSlots = SLOTS, stride = STRIDE): Uint8Array[] {
    this.kernel.groBegin(this.slots, stride, maxSlots, options);
    const out: Uint8Array[] = [];
    for (const packet of packets) {
      this.bytes.set(packet, this.read);
      let added = this.kernel.groAdd(this.read, packet.length);
      if (added === -1) {
        out.push(...this.flush(stride));
        this.kernel.groBegin(this.slots, stride, maxSlots, options);
        added = this.kernel.groAdd(this.read, packet.length);
      }
      if (added !== 0) throw new Error(`groAdd answered ${added}`);
    }
    out.push(...this.flush(stride));
    return out;
  }

  flush(stride = STRIDE): Uint8Array[] {
    const count = this.kernel.groFinish();
    const lengths = new Uint32Array(this.#memory.buffer, this.kernel.groLengths(), count);
    return Array.from(lengths, (length, i) => this.take(this.slots + i * stride, length));
  }

  /** A TUN write taken apart again. */
  unmerge(write: Uint8Array): Uint8Array[] {
    const { result } = this.plan(write, 0);
    return Array.from({ length: Math.max(result, 0) }, (_, i) =>
      this.take(this.out, this.kernel.cutSegment(i, this.out)),
    );
  }
}
