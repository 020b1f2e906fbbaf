/**
 * The powers of r that a message of several groups needs.
 * Source: S. Gueron and M. Goll, "Vectorization of Poly1305 message authentication code" §3.
 * @module
 */
import { bitsOf, constant, dot, limb2, limb5, lows, nearest } from './poly1305-limbs';
import { LAST, LAST_WRAPPED, POWER1, POWER2, POWER21, POWER43, POWER8, R4, R8 } from './work';

const WRAP: f64 = 5.0 / 1361129467683753853853498429727072845824.0; // 5·2^-130

/** to = a·b in two lanes, limbs 32 bytes apart, for the powers of r. */
function multiply(a: usize, b: usize, to: usize): void {
  const m1 = constant(11), m2 = constant(12), m3 = constant(13), m4 = constant(14), m5 = constant(15), m6 = constant(16);
  const wrap = constant(17), zero = f64x2.splat(0);
  const a0 = v128.load(a), a1 = v128.load(a, 32), a2 = v128.load(a, 64);
  const a3 = v128.load(a, 96), a4 = v128.load(a, 128), a5 = v128.load(a, 160);
  const b0 = v128.load(b), b1 = v128.load(b, 32), b2 = v128.load(b, 64);
  const b3 = v128.load(b, 96), b4 = v128.load(b, 128), b5 = v128.load(b, 160);
  const s1 = f64x2.mul(b1, wrap), s2 = f64x2.mul(b2, wrap), s3 = f64x2.mul(b3, wrap);
  const s4 = f64x2.mul(b4, wrap), s5 = f64x2.mul(b5, wrap);
  let c0 = dot(zero, a0, b0, a1, s5, a2, s4, a3, s3, a4, s2, a5, s1);
  let c1 = dot(zero, a0, b1, a1, b0, a2, s5, a3, s4, a4, s3, a5, s2);
  let c2 = dot(zero, a0, b2, a1, b1, a2, b0, a3, s5, a4, s4, a5, s3);
  let c3 = dot(zero, a0, b3, a1, b2, a2, b1, a3, b0, a4, s5, a5, s4);
  let c4 = dot(zero, a0, b4, a1, b3, a2, b2, a3, b1, a4, b0, a5, s5);
  let c5 = dot(zero, a0, b5, a1, b4, a2, b3, a3, b2, a4, b1, a5, b0);
  let t = nearest(c0, m1), u = nearest(c3, m4);
  c0 = f64x2.sub(c0, t); c1 = f64x2.add(c1, t); c3 = f64x2.sub(c3, u); c4 = f64x2.add(c4, u);
  t = nearest(c1, m2); u = nearest(c4, m5);
  c1 = f64x2.sub(c1, t); c2 = f64x2.add(c2, t); c4 = f64x2.sub(c4, u); c5 = f64x2.add(c5, u);
  t = nearest(c2, m3); u = nearest(c5, m6);
  c2 = f64x2.sub(c2, t); c3 = f64x2.add(c3, t); c5 = f64x2.sub(c5, u); c0 = f64x2.add(c0, f64x2.mul(u, wrap));
  t = nearest(c3, m4); u = nearest(c0, m1);
  c3 = f64x2.sub(c3, t); c4 = f64x2.add(c4, t); c0 = f64x2.sub(c0, u); c1 = f64x2.add(c1, u);
  v128.store(to, c0); v128.store(to, c1, 32); v128.store(to, c2, 64);
  v128.store(to, c3, 96); v128.store(to, c4, 128); v128.store(to, c5, 160);
}

/** Six limbs of lane 0 at `from` to be spread: as they are at `to`, times 5·2^-130 at `to` + 64. */
@inline
function tabulate(from: usize, to: usize): void {
  for (let i: usize = 0; i < 6; i++) {
    const limb = load<f64>(from + (i << 5));
    store<f64>(to + (i << 3), limb);
    store<f64>(to + (i << 3), limb * WRAP, 64);
  }
}

/** Powers of r, from its clamped words: all that the groups of a message need. */
export function preparePowers(w: usize, rLo: u64, rHi: u64, long: bool): void {
  const lo = i64x2.splat(rLo), hi = i64x2.splat(rHi), wrap = constant(17), e5 = constant(8);
  v128.store(w + POWER1, bitsOf(lo, constant(0), constant(5)));
  v128.store(w + POWER1, bitsOf(lo, constant(1), constant(5)), 32);
  v128.store(w + POWER1, limb2(lo, hi, constant(2), constant(6)), 64);
  v128.store(w + POWER1, bitsOf(hi, constant(3), constant(7)), 96);
  v128.store(w + POWER1, bitsOf(hi, constant(4), constant(7)), 128);
  v128.store(w + POWER1, limb5(hi, e5, e5), 160);
  multiply(w + POWER1, w + POWER1, w + POWER2);
  for (let i = w; i < w + 192; i += 32) {
    v128.store(i + POWER21, lows(v128.load(i + POWER2), v128.load(i + POWER1)));
  }
  multiply(w + POWER21, w + POWER2, w + POWER43);
  for (let i = w; i < w + 192; i += 32) {
    const fourThree = v128.load(i + POWER43);
    const l = lows(fourThree, v128.load(i + POWER2));
    const h = i64x2.shuffle(fourThree, v128.load(i + POWER1), 1, 2);
    v128.store(i + LAST, h, 16);
    v128.store(i + LAST, l);
    v128.store(i + LAST_WRAPPED, f64x2.mul(h, wrap), 16);
    v128.store(i + LAST_WRAPPED, f64x2.mul(l, wrap));
  }
  tabulate(w + POWER43, w + R4);
  if (long) {
    multiply(w + POWER43, w + POWER43, w + POWER8);
    tabulate(w + POWER8, w + R8);
  }
}
