/**
 * What the kernel must get right before it carries a packet: a vector from the RFC, then noble's word over the
 * lengths at which the kernel changes its ways. It runs on every start, since V8 compiles the kernel anew each time
 * and 256-bit code comes out of an experimental pass.
 * Vectors: RFC 8439 A.1 #2 (the keystream after the block that keys Poly1305).
 * @module
 */
import { chacha20poly1305, xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import { blake2s } from '@noble/hashes/blake2.js';
import type { Kernel } from './kernel.ts';
import { COOKIE_NONCE_BYTES, MAC_BYTES, nonceOf, TAG_BYTES } from './noble.ts';

/** Around every border: 16-byte blocks, 64-byte blocks, runs of 4, 8 and 24 blocks, Poly1305's groups of four blocks. */
const LENGTHS = [
  0, 1, 15, 16, 17, 48, 63, 64, 65, 112, 127, 128, 129, 176, 191, 192, 193, 240, 255, 256, 257, 320, 351, 352,
  353, 368, 384, 400, 413, 416, 432, 447, 448, 449, 464, 480, 511, 512, 513, 704, 767, 768, 960, 1024, 1408,
  1420, 1424, 1471, 1472, 1473, 1728, 2000, 4096,
];
const A1_2 =
  '9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f';
/** Message and key of what a handshake message's macs and a cookie are made from, and around the borders of blocks. */
const MAC_LENGTHS = [
  [116, 32],
  [60, 32],
  [132, 16],
  [76, 16],
  [18, 32],
  [1, 1],
  [63, 31],
  [64, 32],
  [65, 17],
  [128, 16],
  [129, 32],
] as const;
const SPACE = 16384;

/** The first thing the kernel gets wrong, in words; null when all is well. Writes only from `at` on. */
export function selfTest(kernel: Kernel, memory: WebAssembly.Memory, at: number): string | null {
  const bytes = new Uint8Array(memory.buffer, at, SPACE);
  const key = at;
  const src = at + 64;
  const dst = src + 4224;
  const back = dst + 4224;
  const part = (address: number, len: number) => bytes.subarray(address - at, address - at + len);
  bytes.fill(0);
  kernel.seal(key, 0, 0, src, dst, 64);
  if (Buffer.from(part(dst, 64)).toString('hex') !== A1_2) return 'the keystream of RFC 8439 A.1 #2 is wrong';

  for (let i = 0; i < 4300; i++) bytes[i] = (i * 167 + (i >> 3)) & 255;
  try {
    for (const len of LENGTHS) {
      const ctrLo = (len * 0x9e3779b1) >>> 0;
      const ctrHi = (len * 0x85ebca77) >>> 0;
      const expected = chacha20poly1305(part(key, 32).slice(), nonceOf(ctrLo, ctrHi)).encrypt(
        part(src, len).slice(),
      );
      kernel.seal(key, ctrLo, ctrHi, src, dst, len);
      if (!equal(part(dst, len + TAG_BYTES), expected)) return `seal of ${len} bytes differs from noble`;
      if (kernel.open(key, ctrLo, ctrHi, dst, back, len) !== 0)
        return `open of ${len} bytes refuses a good tag`;
      if (!equal(part(back, len), part(src, len))) return `open of ${len} bytes differs from noble`;
      part(dst, len + 1)[len] = (part(dst, len + 1)[len] ?? 0) ^ 1;
      if (kernel.open(key, ctrLo, ctrHi, dst, back, len) !== -1)
        return `open of ${len} bytes takes a wrong tag`;
    }
    return macFault(kernel, part, { key, src, dst });
  } finally {
    bytes.fill(0);
  }
}

/** The same for the macs and the cookie of handshake messages. */
function macFault(
  kernel: Kernel,
  part: (address: number, len: number) => Uint8Array,
  { key, src, dst }: { key: number; src: number; dst: number },
): string | null {
  const state = dst + 64;
  for (const [len, keyLen] of MAC_LENGTHS) {
    const options = { key: part(key, keyLen).slice(), dkLen: MAC_BYTES };
    kernel.macBegin(key, keyLen, state);
    kernel.mac(state, src, len, dst);
    if (!equal(part(dst, MAC_BYTES), blake2s(part(src, len).slice(), options)))
      return `mac of ${len} bytes differs from noble`;
    if (kernel.macHolds(state, src, len, dst) !== 1) return `mac of ${len} bytes refuses a good one`;
    part(dst, 16)[len & 15] = (part(dst, 16)[len & 15] ?? 0) ^ 1;
    if (kernel.macHolds(state, src, len, dst) !== 0) return `mac of ${len} bytes takes a wrong one`;
  }
  const [cookie, mac1] = [src + 32, src + 64];
  const nonce = part(src, COOKIE_NONCE_BYTES).slice();
  const cipher = xchacha20poly1305(part(key, 32).slice(), nonce, part(mac1, MAC_BYTES).slice());
  kernel.sealCookie(key, src, cookie, mac1, dst);
  const sealed = cipher.encrypt(part(cookie, MAC_BYTES).slice());
  return equal(part(dst, MAC_BYTES + TAG_BYTES), sealed) ? null : 'a cookie differs from noble';
}

export const SELF_TEST_BYTES = SPACE;

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
