/**
 * Numbers modulo 2^130 - 5 as six doubles a lane: how bits become limbs, and how limbs are multiplied and carried.
 *
 * A number is the sum of six doubles, limb i a multiple of 2^o(i), o = 0, 22, 44, 65, 87, 109 = ⌈130·i/6⌉. The doubles
 * carry their own scale, so the product of limbs i and j simply belongs to limb i + j, or, six higher, to limb i + j - 6
 * times 5·2^-130. Nothing is ever rounded by accident: a limb of the accumulator or the message stays below 2^23 units,
 * one of a power of r below 2^22, and six products of both, five times as large where they wrap, and as many again of
 * the message, below 2^51 units of their limb. A carry rounds on purpose: adding 1.5·2^(52+o) and taking it away leaves
 * the nearest multiple of 2^o. Limbs are thereby signed. Additions and multiplications of doubles take the same time
 * whatever the values, as there are no subnormal ones.
 *
 * Source: D. J. Bernstein, "The Poly1305-AES message-authentication code" §4 (floating point).
 * @module
 */

/** Constants, each to be spread over a vector. 0x433 is the exponent of doubles whose mantissa is an integer. */
const TABLE: usize = memory.data<u64>([
  0x3fffff, 0x3fffff << 22, 1 << 20, 0x3fffff << 1, 0x3fffff << 23, // bits of limbs 0, 1, 2 (from hi), 3, 4
  0x433 << 52, (0x433 + 44) << 52, (0x433 + 64) << 52, (0x433 + 109) << 52, // 2^52 in units of 1, 2^44, 2^64, 2^109
  1 << 19, ((0x433 + 109) << 52) | (1 << 19), // bit 128 in limb 5, and that with its exponent
  (0x433 + 22) << 52 | 1 << 51, (0x433 + 44) << 52 | 1 << 51, (0x433 + 65) << 52 | 1 << 51, // 1.5·2^(52+o) of carries
  (0x433 + 87) << 52 | 1 << 51, (0x433 + 109) << 52 | 1 << 51, (0x433 + 130) << 52 | 1 << 51,
  0x37f4000000000000, // 5·2^-130
], 64);
@inline
export function constant(i: usize): v128 {
  return v128.load64_splat(TABLE + (i << 3));
}

@inline
export function bitsOf(word: v128, mask: v128, exponent: v128): v128 {
  return f64x2.sub(v128.or(v128.and(word, mask), exponent), exponent);
}

@inline
export function limb2(lo: v128, hi: v128, bit: v128, exponent: v128): v128 {
  const bits = v128.or(i64x2.shr_u(lo, 44), v128.and(i64x2.shl(hi, 20), bit));
  return f64x2.sub(v128.or(bits, exponent), exponent);
}

@inline
export function limb5(hi: v128, marked: v128, exponent: v128): v128 {
  return f64x2.sub(v128.or(i64x2.shr_u(hi, 45), marked), exponent);
}

@inline
export function lows(a: v128, b: v128): v128 {
  return i64x2.shuffle(a, b, 0, 2);
}

@inline
export function highs(a: v128, b: v128): v128 {
  return i64x2.shuffle(a, b, 1, 3);
}

@inline
export function plus(sum: v128, a: v128, b: v128): v128 {
  return f64x2.add(sum, f64x2.mul(a, b));
}

/** sum + six products, as a chain. */
@inline
export function dot(
  sum: v128, a0: v128, b0: v128, a1: v128, b1: v128, a2: v128, b2: v128,
  a3: v128, b3: v128, a4: v128, b4: v128, a5: v128, b5: v128,
): v128 {
  return plus(plus(plus(plus(plus(plus(sum, a0, b0), a1, b1), a2, b2), a3, b3), a4, b4), a5, b5);
}

@inline
export function nearest(x: v128, magic: v128): v128 {
  return f64x2.sub(f64x2.add(x, magic), magic);
}
