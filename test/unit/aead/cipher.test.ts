/** ChaCha20-Poly1305 of the kernel against node:crypto and noble, in every backend, and what it must refuse. RFC 8439 §2.8. */
import { createCipheriv } from 'node:crypto';
import { chacha20poly1305 } from '@noble/ciphers/chacha.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nonceOf } from '../../../src/aead/noble.ts';
import { backends, cipherArea, pattern } from './cipher-area.ts';

function byNode(key: Uint8Array, ctrLo: number, ctrHi: number, plain: Uint8Array): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeUInt32LE(ctrLo >>> 0, 4);
  nonce.writeUInt32LE(ctrHi >>> 0, 8);
  const cipher = createCipheriv('chacha20-poly1305', key, nonce, { authTagLength: 16 });
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

const word = fc.oneof(fc.constantFrom(0, 1, 0x7fffffff, 0x80000000, 0xffffffff), fc.nat(0xffffffff));

describe.each(backends)('the %s cipher', (_name, options) => {
  const { kernel, bytes, key, src, dst, back, put, take } = cipherArea(options);
  const foreign = options.crypto === 'noble';

  it('gives what node:crypto gives for every length up to 2100, disjoint and in place, and nothing beyond', () => {
    const secret = pattern(32, 7);
    put(key, secret);
    const plain = pattern(2100, 8);
    for (let len = 0; len <= 2100; len += foreign ? 13 : 1) {
      const expected = byNode(secret, len, ~len, plain.subarray(0, len));
      put(src, plain);
      bytes.fill(0xee, dst - 64, dst + len + 80);
      kernel.seal(key, len, ~len, src, dst, len);
      if (!take(dst, len + 16).equals(expected)) expect.fail(`seal of ${len} bytes`);
      if (!take(dst + len + 16, 64).equals(Buffer.alloc(64, 0xee)))
        expect.fail(`seal of ${len}, behind the tag`);
      if (!take(dst - 64, 64).equals(Buffer.alloc(64, 0xee)))
        expect.fail(`seal of ${len}, before the packet`);
      if (!take(src, len).equals(plain.subarray(0, len))) expect.fail(`seal of ${len}, its source`);
      bytes.fill(0xdd, back - 64, back + len + 64);
      expect(kernel.open(key, len, ~len, dst, back, len)).toBe(0);
      if (!take(back, len).equals(plain.subarray(0, len))) expect.fail(`open of ${len} bytes`);
      if (!take(back + len, 64).equals(Buffer.alloc(64, 0xdd)))
        expect.fail(`open of ${len}, behind the packet`);
      if (!take(back - 64, 64).equals(Buffer.alloc(64, 0xdd)))
        expect.fail(`open of ${len}, before the packet`);
      kernel.seal(key, len, ~len, src, src, len);
      if (!take(src, len + 16).equals(expected)) expect.fail(`seal of ${len} bytes in place`);
      expect(kernel.open(key, len, ~len, src, src, len)).toBe(0);
      if (!take(src, len).equals(plain.subarray(0, len))) expect.fail(`open of ${len} bytes in place`);
    }
  });

  it('gives what node:crypto and noble give for any key, counter, length and alignment', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        word,
        word,
        fc.oneof({ weight: 6, arbitrary: fc.nat(3000) }, { weight: 1, arbitrary: fc.nat(65_000) }),
        fc.nat(0xffff),
        fc.tuple(fc.nat(63), fc.nat(63), fc.nat(63)),
        (secret, lo, hi, len, seed, [keyShift, srcShift, dstShift]) => {
          const plain = pattern(len, seed);
          const expected = byNode(secret, lo, hi, plain);
          if (len < 500)
            expect(Buffer.from(chacha20poly1305(secret, nonceOf(lo, hi)).encrypt(plain))).toEqual(expected);
          put(key + keyShift, secret);
          put(src + srcShift, plain);
          kernel.seal(key + keyShift, lo, hi, src + srcShift, dst + dstShift, len);
          if (!take(dst + dstShift, len + 16).equals(expected)) return false;
          const result = kernel.open(key + keyShift, lo, hi, dst + dstShift, back + srcShift, len);
          return result === 0 && take(back + srcShift, len).equals(plain);
        },
      ),
      { numRuns: foreign ? 60 : 500 },
    );
  });

  it.each([0, 1, 32, 100, 351, 352, 1424])(
    'refuses %d bytes with any bit of the tag flipped, and releases none',
    (len) => {
      put(key, pattern(32, 1));
      put(src, pattern(len, len));
      kernel.seal(key, 5, 6, src, dst, len);
      bytes.fill(0xab, back, back + len + 16);
      for (let bit = 0; bit < 128; bit++) {
        const at = dst + len + (bit >> 3);
        bytes[at]! ^= 1 << (bit & 7);
        expect(kernel.open(key, 5, 6, dst, back, len)).toBe(-1);
        bytes[at]! ^= 1 << (bit & 7);
      }
      expect(take(back, len + 16)).toEqual(Buffer.alloc(len + 16, 0xab));
      expect(kernel.open(key, 5, 6, dst, back, len)).toBe(0);
    },
  );

  it('leaves a packet that it refuses in place as it came', () => {
    put(key, pattern(32, 2));
    put(src, pattern(1420, 3));
    kernel.seal(key, 1, 0, src, dst, 1420);
    bytes[dst + 1420 + 15]! ^= 0x80;
    const before = take(dst, 1436);
    expect(kernel.open(key, 1, 0, dst, dst, 1420)).toBe(-1);
    expect(take(dst, 1436)).toEqual(before);
  });

  it.each([1, 16, 64, 200, 400, 1420])(
    'refuses %d bytes with one bit of ciphertext, key or counter changed',
    (len) => {
      put(key, pattern(32, 3));
      put(src, pattern(len, 4));
      kernel.seal(key, 0x01020304, 0x05060708, src, dst, len);
      const flips = [
        ...Array.from({ length: Math.min(len * 8, 256) }, (_, i) => [
          dst + Math.floor((i * len) / Math.min(len * 8, 256)),
          i & 7,
        ]),
        ...Array.from({ length: 256 }, (_, i) => [key + (i >> 3), i & 7]),
      ] as [number, number][];
      for (const [at, bit] of flips) {
        bytes[at]! ^= 1 << bit;
        expect(kernel.open(key, 0x01020304, 0x05060708, dst, back, len)).toBe(-1);
        bytes[at]! ^= 1 << bit;
      }
      for (let bit = 0; bit < 32; bit++) {
        expect(kernel.open(key, 0x01020304 ^ (1 << bit), 0x05060708, dst, back, len)).toBe(-1);
        expect(kernel.open(key, 0x01020304, 0x05060708 ^ (1 << bit), dst, back, len)).toBe(-1);
      }
      expect(kernel.open(key, 0x01020304, 0x05060708, dst, back, len)).toBe(0);
    },
  );

  it('refuses a packet cut short or made longer', () => {
    put(key, pattern(32, 5));
    put(src, pattern(600, 6));
    kernel.seal(key, 9, 0, src, dst, 600);
    for (const len of [0, 1, 583, 584, 592, 599, 601, 608, 616])
      expect(kernel.open(key, 9, 0, dst, back, len)).toBe(-1);
  });

  it('does not let a packet show in the next', () => {
    put(key, pattern(32, 5));
    put(src, pattern(2000, 6));
    for (const len of [2000, 48, 700, 0, 1424, 16, 352]) {
      kernel.seal(key, len, 1, src, dst, len);
      expect(take(dst, len + 16)).toEqual(byNode(pattern(32, 5), len, 1, pattern(2000, 6).subarray(0, len)));
    }
  });
});

describe('the working memory of the cipher', () => {
  it('holds nothing of key or keystream once it is wiped', () => {
    const { kernel, bytes, key, src, dst, put, take } = cipherArea({ crypto: 'wasm', simd: 256 });
    const before = take(0, kernel.heapBase());
    const secret = pattern(32, 11);
    put(key, secret);
    bytes.fill(0, src, src + 1424);
    kernel.seal(key, 1, 2, src, dst, 1424);
    expect(take(0, kernel.heapBase()).includes(take(dst, 16))).toBe(true);
    expect(take(0, kernel.heapBase()).includes(Buffer.from(secret.subarray(0, 4)))).toBe(true);
    kernel.wipe();
    for (let i = 0; i < 32; i += 4)
      expect(take(0, kernel.heapBase()).includes(Buffer.from(secret.subarray(i, i + 4)))).toBe(false);
    for (let i = 0; i < 1424; i += 16)
      expect(take(0, kernel.heapBase()).includes(take(dst + i, 16))).toBe(false);
    kernel.wipe();
    expect(before.length).toBe(kernel.heapBase());
  });
});
