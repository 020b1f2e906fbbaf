/**
 * Poly1305 one-time authenticator. Short messages block by block in limbs of 26 bits; longer ones by poly1305-wide.ts.
 * Spec: RFC 8439 §2.5; the message is a ciphertext with no additional data, laid out as in §2.8.
 * @module
 */
import { polynomial } from './poly1305-wide';
import { POWER1, work } from './work';

const LIMB: u64 = 0x3ffffff;
/** From here on the powers of r for four lanes pay for themselves. */
const WIDE: usize = 352;

/**
 * Tag of `len` bytes at `src`, padded with zeros to 16, followed by the length block of the AEAD. `key` holds r and s.
 * The 16 bytes go to `out`.
 */
export function authenticate(key: usize, src: usize, len: usize, out: usize): void {
  const rLo: u64 = load<u64>(key) & 0x0ffffffc0fffffff;
  const rHi: u64 = load<u64>(key, 8) & 0x0ffffffc0ffffffc;
  const words = work() + POWER1;
  if (len >= WIDE) polynomial(rLo, rHi, src, len, words);
  else blockwise(rLo, rHi, src, len, 0, len, words);
  finish(words, key + 16, out);
}

/** The same for `aadLen` bytes of additional data, a multiple of 16, with the `len` bytes of ciphertext behind them. */
export function authenticateWith(key: usize, src: usize, aadLen: usize, len: usize, out: usize): void {
  const rLo: u64 = load<u64>(key) & 0x0ffffffc0fffffff;
  const rHi: u64 = load<u64>(key, 8) & 0x0ffffffc0ffffffc;
  const words = work() + POWER1;
  blockwise(rLo, rHi, src, aadLen + len, aadLen, len, words);
  finish(words, key + 16, out);
}

/** Three words below 2p, reduced without a branch, plus s. */
@inline
function finish(words: usize, s: usize, out: usize): void {
  const lo = load<u64>(words);
  const hi = load<u64>(words, 8);
  // h - p as h + 5 - 2^130
  const subLo = lo + 5;
  const subHi = hi + <u64>(subLo < lo);
  const subTop = load<u64>(words, 16) + <u64>(subHi < hi);
  const take: u64 = 0 - (subTop >> 2);
  const hLo = lo ^ ((lo ^ subLo) & take);
  const hHi = hi ^ ((hi ^ subHi) & take);
  const tagLo = hLo + load<u64>(s);
  store<u64>(out, tagLo);
  store<u64>(out, hHi + load<u64>(s, 8) + <u64>(tagLo < hLo), 8);
}

/** The polynomial of the message and a block of two lengths, as three words at `out`. */
function blockwise(rLo: u64, rHi: u64, src: usize, len: usize, aadLen: u64, textLen: u64, out: usize): void {
  const r0 = rLo & LIMB;
  const r1 = (rLo >> 26) & LIMB;
  const r2 = ((rLo >> 52) | (rHi << 12)) & LIMB;
  const r3 = (rHi >> 14) & LIMB;
  const r4 = rHi >> 40;
  const s1 = r1 * 5;
  const s2 = r2 * 5;
  const s3 = r3 * 5;
  const s4 = r4 * 5;
  let h0: u64 = 0;
  let h1: u64 = 0;
  let h2: u64 = 0;
  let h3: u64 = 0;
  let h4: u64 = 0;
  let left = len;
  let ended = false;
  while (true) {
    let lo: u64 = 0;
    let hi: u64 = 0;
    if (left >= 16) {
      lo = load<u64>(src);
      hi = load<u64>(src, 8);
      src += 16;
      left -= 16;
    } else if (left > 0) {
      for (let i: usize = 0; i < left; i++) {
        const byte = <u64>load<u8>(src + i);
        if (i < 8) lo |= byte << (i << 3);
        else hi |= byte << ((i - 8) << 3);
      }
      left = 0;
    } else if (!ended) {
      lo = aadLen;
      hi = textLen;
      ended = true;
    } else break;
    h0 += lo & LIMB;
    h1 += (lo >> 26) & LIMB;
    h2 += ((lo >> 52) | (hi << 12)) & LIMB;
    h3 += (hi >> 14) & LIMB;
    h4 += (hi >> 40) | (1 << 24);
    const d0 = h0 * r0 + h1 * s4 + h2 * s3 + h3 * s2 + h4 * s1;
    let d1 = h0 * r1 + h1 * r0 + h2 * s4 + h3 * s3 + h4 * s2;
    let d2 = h0 * r2 + h1 * r1 + h2 * r0 + h3 * s4 + h4 * s3;
    let d3 = h0 * r3 + h1 * r2 + h2 * r1 + h3 * r0 + h4 * s4;
    let d4 = h0 * r4 + h1 * r3 + h2 * r2 + h3 * r1 + h4 * r0;
    d1 += d0 >> 26;
    h0 = d0 & LIMB;
    d2 += d1 >> 26;
    h1 = d1 & LIMB;
    d3 += d2 >> 26;
    h2 = d2 & LIMB;
    d4 += d3 >> 26;
    h3 = d3 & LIMB;
    h4 = d4 & LIMB;
    h0 += (d4 >> 26) * 5;
    h1 += h0 >> 26;
    h0 &= LIMB;
  }
  h2 += h1 >> 26;
  h1 &= LIMB;
  h3 += h2 >> 26;
  h2 &= LIMB;
  h4 += h3 >> 26;
  h3 &= LIMB;
  h0 += (h4 >> 26) * 5;
  h4 &= LIMB;
  h1 += h0 >> 26;
  h0 &= LIMB;
  const low = h0 + (h1 << 26);
  const lo = low + (h2 << 52);
  const middle = (h2 >> 12) + (h3 << 14) + <u64>(lo < low);
  const hi = middle + (h4 << 40);
  store<u64>(out, lo);
  store<u64>(out, hi, 8);
  store<u64>(out, (h4 >> 24) + <u64>(hi < middle), 16);
}
