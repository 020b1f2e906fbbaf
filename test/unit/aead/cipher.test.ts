/** ChaCha20-Poly1305 of the kernel against noble and node:crypto, in every backend. RFC 8439; Wycheproof's kinds of fault. */
import { createCipheriv } from 'node:crypto';
import { chacha20poly1305 } from '@noble/ciphers/chacha.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Kernel, loadKernel } from '../../../src/aead/kernel.ts';
import { nonceOf } from '../../../src/aead/noble.ts';

const backends = [
  ['128-bit', { crypto: 'wasm', simd: 128 }],
  ['256-bit', { crypto: 'wasm', simd: 256 }],
  ['foreign', { crypto: 'noble', simd: 128 }],
] as const;

function byNode(key: Uint8Array, ctrLo: number, ctrHi: number, plain: Uint8Array): Buffer {
  const cipher = createCipheriv('chacha20-poly1305', key, nonceOf(ctrLo, ctrHi), { authTagLength: 16 });
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

function pattern(length: number, seed: number): Uint8Array {
  let state = (seed * 2654435761 + 1) >>> 0;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
}

describe.each(backends)('the %s cipher', (_name, options) => {
  const memory = new WebAssembly.Memory({ initial: 8, maximum: 8, shared: true });
  const kernel: Kernel = loadKernel(memory, options);
  const bytes = new Uint8Array(memory.buffer);
  const base = kernel.heapBase();
  const KEY = base;
  const SRC = base + 1024;
  const DST = base + 1024 + 70_000;
  const BACK = base + 1024 + 140_000;
  const take = (at: number, len: number) => Buffer.from(bytes.slice(at, at + len));

  it('passes its self-test', () => {
    expect(kernel.refused).toEqual([]);
  });

  it('gives what node:crypto gives for every length up to 2100, disjoint and in place', () => {
    const key = pattern(32, 7);
    bytes.set(key, KEY);
    const plain = pattern(2100, 8);
    const step = options.crypto === 'noble' ? 13 : 1;
    for (let len = 0; len <= 2100; len += step) {
      const expected = byNode(key, len, ~len >>> 0, plain.subarray(0, len));
      bytes.set(plain, SRC);
      bytes.fill(0xee, DST, DST + len + 64);
      kernel.seal(KEY, len, ~len, SRC, DST, len);
      if (!take(DST, len + 16).equals(expected)) expect.fail(`seal of ${len} bytes`);
      if (!take(DST + len + 16, 48).equals(Buffer.alloc(48, 0xee)))
        expect.fail(`seal of ${len} writes past the tag`);
      if (!take(SRC, len).equals(plain.subarray(0, len))) expect.fail(`seal of ${len} writes to its source`);
      bytes.fill(0xdd, BACK, BACK + len + 64);
      expect(kernel.open(KEY, len, ~len, DST, BACK, len)).toBe(0);
      if (!take(BACK, len).equals(plain.subarray(0, len))) expect.fail(`open of ${len} bytes`);
      if (!take(BACK + len, 64).equals(Buffer.alloc(64, 0xdd)))
        expect.fail(`open of ${len} writes past the end`);
      kernel.seal(KEY, len, ~len, SRC, SRC, len);
      if (!take(SRC, len + 16).equals(expected)) expect.fail(`seal of ${len} bytes in place`);
      expect(kernel.open(KEY, len, ~len, SRC, SRC, len)).toBe(0);
      if (!take(SRC, len).equals(plain.subarray(0, len))) expect.fail(`open of ${len} bytes in place`);
    }
  });
});
