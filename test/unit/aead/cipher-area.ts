/**
 * A kernel with room around it: where the tests of the cipher put keys and packets.
 * @module
 */
import { type Kernel, type KernelOptions, loadKernel } from '../../../src/aead/kernel.ts';

export const backends: readonly (readonly [string, KernelOptions])[] = [
  ['128-bit', { crypto: 'wasm', simd: 128 }],
  ['256-bit', { crypto: 'wasm', simd: 256 }],
  ['foreign', { crypto: 'noble', simd: 128 }],
];

export interface CipherArea {
  readonly kernel: Kernel;
  readonly bytes: Uint8Array;
  readonly key: number;
  /** Three places for 70,000 bytes and more each. */
  readonly src: number;
  readonly dst: number;
  readonly back: number;
  put(at: number, data: Uint8Array): void;
  take(at: number, len: number): Buffer;
}

export function cipherArea(options: KernelOptions): CipherArea {
  const memory = new WebAssembly.Memory({ initial: 8, maximum: 8, shared: true });
  const kernel = loadKernel(memory, options);
  const bytes = new Uint8Array(memory.buffer);
  const key = kernel.heapBase() + 64;
  return {
    kernel,
    bytes,
    key,
    src: key + 1024,
    dst: key + 1024 + 72_000,
    back: key + 1024 + 144_000,
    put: (at, data) => bytes.set(data, at),
    take: (at, len) => Buffer.from(bytes.slice(at, at + len)),
  };
}

/** Bytes that look random and are the same every time. */
export function pattern(length: number, seed: number): Uint8Array {
  let state = (Math.imul(seed, 2654435761) + 1) >>> 0;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
}
