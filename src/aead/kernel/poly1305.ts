/**
 * Poly1305 one-time authenticator, in limbs of 26 bits.
 * Spec: RFC 8439 §2.5; the message is a ciphertext with no additional data, laid out as in §2.8.
 * @module
 */

const LIMB: u64 = 0x3ffffff;

/**
 * Tag of `len` bytes at `src`, padded with zeros to 16, followed by the length block of the AEAD (no additional
 * data). `key` holds r and s. The 16 bytes go to `out`, which may touch anything but the message.
 */
export function authenticate(key: usize, src: usize, len: usize, out: usize): void {
  const k0: u64 = load<u64>(key) & 0x0ffffffc0fffffff;
  const k1: u64 = load<u64>(key, 8) & 0x0ffffffc0ffffffc;
  const r0 = k0 & LIMB;
  const r1 = (k0 >> 26) & LIMB;
  const r2 = ((k0 >> 52) | (k1 << 12)) & LIMB;
  const r3 = (k1 >> 14) & LIMB;
  const r4 = k1 >> 40;
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
        if (i < 8) lo |= byte << (8 * i);
        else hi |= byte << (8 * (i - 8));
      }
      left = 0;
    } else if (!ended) {
      hi = len;
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
    h0 = d0 & LIMB;
    d1 += d0 >> 26;
    h1 = d1 & LIMB;
    d2 += d1 >> 26;
    h2 = d2 & LIMB;
    d3 += d2 >> 26;
    h3 = d3 & LIMB;
    d4 += d3 >> 26;
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
  // h - p by h + 5 - 2^130: taken when it does not go below zero, without a branch.
  const g0 = h0 + 5;
  const g1 = h1 + (g0 >> 26);
  const g2 = h2 + (g1 >> 26);
  const g3 = h3 + (g2 >> 26);
  const g4 = h4 + (g3 >> 26) - (1 << 26);
  const take = (g4 >> 63) - 1;
  h0 = (h0 & ~take) | (g0 & LIMB & take);
  h1 = (h1 & ~take) | (g1 & LIMB & take);
  h2 = (h2 & ~take) | (g2 & LIMB & take);
  h3 = (h3 & ~take) | (g3 & LIMB & take);
  h4 = (h4 & ~take) | (g4 & LIMB & take);
  const lo = h0 | (h1 << 26) | (h2 << 52);
  const hi = (h2 >> 12) | (h3 << 14) | (h4 << 40);
  const tagLo = lo + load<u64>(key, 16);
  store<u64>(out, tagLo);
  store<u64>(out, hi + load<u64>(key, 24) + <u64>(tagLo < lo), 8);
}
