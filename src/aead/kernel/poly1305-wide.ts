/**
 * Poly1305 on four blocks side by side, in double-precision floating point (poly1305-limbs.ts): the widening
 * multiplication of 128-bit integer SIMD brings two shuffles a product along, that of doubles none.
 *
 * Lanes hold blocks 0 and 2 (l), 1 and 3 (h) of a group of 64 bytes, and the accumulator is multiplied by r^4 from group
 * to group. Where two groups are absorbed at once, only r^8 waits for the accumulator, and both share one carry. What a
 * message lacks to whole groups is left empty in front: a zero accumulator may have any number of zero blocks before it.
 * Halves l and h of a pair lie in adjacent memory; see work.ts for what that is for and what it asks.
 *
 * Sources: RFC 8439 §2.5; S. Gueron and M. Goll, "Vectorization of Poly1305 message authentication code" §3.
 * @module
 */
import { bitsOf, constant, dot, highs, limb2, limb5, lows, nearest } from './poly1305-limbs';
import { preparePowers } from './poly1305-powers';
import { EDGE, H, LAST, LAST_WRAPPED, R4, work } from './work';

/** By number of empty blocks at the start of a group: which of blocks 0, 2 (l) and 1, 3 (h) are there. */
const PRESENT: usize = memory.data<u64>([
  -1, -1, -1, -1,
  0, -1, -1, -1,
  0, -1, 0, -1,
  0, 0, 0, -1,
], 64);

/** Carries from limb to limb, two chains at once (0 to 2, on to 3 and 4; 3 to 5, round to 0 and 1), and stores them. */
@inline
function carryPairs(
  to: usize, c0l: v128, c0h: v128, c1l: v128, c1h: v128, c2l: v128, c2h: v128,
  c3l: v128, c3h: v128, c4l: v128, c4h: v128, c5l: v128, c5h: v128,
): void {
  const m1 = constant(11), m2 = constant(12), m3 = constant(13), m4 = constant(14), m5 = constant(15), m6 = constant(16);
  const wrap = constant(17);
  let tl: v128, th: v128, ul: v128, uh: v128;
  tl = nearest(c0l, m1); c0l = f64x2.sub(c0l, tl); c1l = f64x2.add(c1l, tl);
  th = nearest(c0h, m1); c0h = f64x2.sub(c0h, th); c1h = f64x2.add(c1h, th);
  ul = nearest(c3l, m4); c3l = f64x2.sub(c3l, ul); c4l = f64x2.add(c4l, ul);
  uh = nearest(c3h, m4); c3h = f64x2.sub(c3h, uh); c4h = f64x2.add(c4h, uh);
  tl = nearest(c1l, m2); c1l = f64x2.sub(c1l, tl); c2l = f64x2.add(c2l, tl);
  th = nearest(c1h, m2); c1h = f64x2.sub(c1h, th); c2h = f64x2.add(c2h, th);
  ul = nearest(c4l, m5); c4l = f64x2.sub(c4l, ul); c5l = f64x2.add(c5l, ul);
  uh = nearest(c4h, m5); c4h = f64x2.sub(c4h, uh); c5h = f64x2.add(c5h, uh);
  tl = nearest(c2l, m3); c2l = f64x2.sub(c2l, tl); c3l = f64x2.add(c3l, tl);
  th = nearest(c2h, m3); c2h = f64x2.sub(c2h, th); c3h = f64x2.add(c3h, th);
  ul = nearest(c5l, m6); c5l = f64x2.sub(c5l, ul); c0l = f64x2.add(c0l, f64x2.mul(ul, wrap));
  uh = nearest(c5h, m6); c5h = f64x2.sub(c5h, uh); c0h = f64x2.add(c0h, f64x2.mul(uh, wrap));
  tl = nearest(c3l, m4); c3l = f64x2.sub(c3l, tl); c4l = f64x2.add(c4l, tl);
  th = nearest(c3h, m4); c3h = f64x2.sub(c3h, th); c4h = f64x2.add(c4h, th);
  ul = nearest(c0l, m1); c0l = f64x2.sub(c0l, ul); c1l = f64x2.add(c1l, ul);
  uh = nearest(c0h, m1); c0h = f64x2.sub(c0h, uh); c1h = f64x2.add(c1h, uh);
  v128.store(to, c0h, 16); v128.store(to, c0l);
  v128.store(to, c1h, 48); v128.store(to, c1l, 32);
  v128.store(to, c2h, 80); v128.store(to, c2l, 64);
  v128.store(to, c3h, 112); v128.store(to, c3l, 96);
  v128.store(to, c4h, 144); v128.store(to, c4l, 128);
  v128.store(to, c5h, 176); v128.store(to, c5l, 160);
}

/** h = the first group at `src`, of which `present` masks the blocks that are there. */
function absorbFirst(h: usize, present: usize, src: usize): void {
  const k0 = constant(0), k1 = constant(1), k2 = constant(2), k3 = constant(3), k4 = constant(4);
  const e0 = constant(5), e2 = constant(6), e3 = constant(7), e5 = constant(8);
  const bit = constant(9);
  const pl = v128.load(present), ph = v128.load(present, 16);
  const al = v128.load(src), ah = v128.load(src, 16), bl = v128.load(src, 32), bh = v128.load(src, 48);
  const lol = v128.and(lows(al, bl), pl), loh = v128.and(lows(ah, bh), ph);
  const hil = v128.and(highs(al, bl), pl), hih = v128.and(highs(ah, bh), ph);
  const markl = v128.or(v128.and(pl, bit), e5), markh = v128.or(v128.and(ph, bit), e5);
  v128.store(h, bitsOf(loh, k0, e0), 16); v128.store(h, bitsOf(lol, k0, e0));
  v128.store(h, bitsOf(loh, k1, e0), 48); v128.store(h, bitsOf(lol, k1, e0), 32);
  v128.store(h, limb2(loh, hih, k2, e2), 80); v128.store(h, limb2(lol, hil, k2, e2), 64);
  v128.store(h, bitsOf(hih, k3, e3), 112); v128.store(h, bitsOf(hil, k3, e3), 96);
  v128.store(h, bitsOf(hih, k4, e3), 144); v128.store(h, bitsOf(hil, k4, e3), 128);
  v128.store(h, limb5(hih, markh, e5), 176); v128.store(h, limb5(hil, markl, e5), 160);
}

/** h = h·r^4 + the group at `src`. `powers` is where R4 lies. */
function absorb(h: usize, powers: usize, src: usize): void {
  const k0 = constant(0), k1 = constant(1), k2 = constant(2), k3 = constant(3), k4 = constant(4);
  const e0 = constant(5), e2 = constant(6), e3 = constant(7), e5 = constant(8);
  const mark = constant(10);
  const r0 = v128.load64_splat(powers), r1 = v128.load64_splat(powers, 8), r2 = v128.load64_splat(powers, 16);
  const r3 = v128.load64_splat(powers, 24), r4 = v128.load64_splat(powers, 32), r5 = v128.load64_splat(powers, 40);
  const s1 = v128.load64_splat(powers, 72), s2 = v128.load64_splat(powers, 80);
  const s3 = v128.load64_splat(powers, 88), s4 = v128.load64_splat(powers, 96), s5 = v128.load64_splat(powers, 104);
  const h0l = v128.load(h), h0h = v128.load(h, 16);
  const h1l = v128.load(h, 32), h1h = v128.load(h, 48);
  const h2l = v128.load(h, 64), h2h = v128.load(h, 80);
  const h3l = v128.load(h, 96), h3h = v128.load(h, 112);
  const h4l = v128.load(h, 128), h4h = v128.load(h, 144);
  const h5l = v128.load(h, 160), h5h = v128.load(h, 176);
  const al = v128.load(src), ah = v128.load(src, 16), bl = v128.load(src, 32), bh = v128.load(src, 48);
  const lol = lows(al, bl), loh = lows(ah, bh), hil = highs(al, bl), hih = highs(ah, bh);
  const c0l = dot(bitsOf(lol, k0, e0), h2l, s4, h5l, s1, h3l, s3, h0l, r0, h1l, s5, h4l, s2);
  const c0h = dot(bitsOf(loh, k0, e0), h2h, s4, h5h, s1, h3h, s3, h0h, r0, h1h, s5, h4h, s2);
  const c1l = dot(bitsOf(lol, k1, e0), h2l, s5, h5l, s2, h3l, s4, h0l, r1, h1l, r0, h4l, s3);
  const c1h = dot(bitsOf(loh, k1, e0), h2h, s5, h5h, s2, h3h, s4, h0h, r1, h1h, r0, h4h, s3);
  const c2l = dot(limb2(lol, hil, k2, e2), h2l, r0, h5l, s3, h3l, s5, h0l, r2, h1l, r1, h4l, s4);
  const c2h = dot(limb2(loh, hih, k2, e2), h2h, r0, h5h, s3, h3h, s5, h0h, r2, h1h, r1, h4h, s4);
  const c3l = dot(bitsOf(hil, k3, e3), h2l, r1, h5l, s4, h3l, r0, h0l, r3, h1l, r2, h4l, s5);
  const c3h = dot(bitsOf(hih, k3, e3), h2h, r1, h5h, s4, h3h, r0, h0h, r3, h1h, r2, h4h, s5);
  const c4l = dot(bitsOf(hil, k4, e3), h2l, r2, h5l, s5, h3l, r1, h0l, r4, h1l, r3, h4l, r0);
  const c4h = dot(bitsOf(hih, k4, e3), h2h, r2, h5h, s5, h3h, r1, h0h, r4, h1h, r3, h4h, r0);
  const c5l = dot(limb5(hil, mark, e5), h2l, r3, h5l, r0, h3l, r2, h0l, r5, h1l, r4, h4l, r1);
  const c5h = dot(limb5(hih, mark, e5), h2h, r3, h5h, r0, h3h, r2, h0h, r5, h1h, r4, h4h, r1);
  carryPairs(h, c0l, c0h, c1l, c1h, c2l, c2h, c3l, c3h, c4l, c4h, c5l, c5h);
}

/** h = h·r^8 + the group at `src`·r^4 + the group at `next`: one carry for two groups. */
function absorbTwo(h: usize, powers: usize, src: usize, next: usize): void {
  const k0 = constant(0), k1 = constant(1), k2 = constant(2), k3 = constant(3), k4 = constant(4);
  const e0 = constant(5), e2 = constant(6), e3 = constant(7), e5 = constant(8);
  const mark = constant(10);
  const r0 = v128.load64_splat(powers), r1 = v128.load64_splat(powers, 8), r2 = v128.load64_splat(powers, 16);
  const r3 = v128.load64_splat(powers, 24), r4 = v128.load64_splat(powers, 32), r5 = v128.load64_splat(powers, 40);
  const s1 = v128.load64_splat(powers, 72), s2 = v128.load64_splat(powers, 80);
  const s3 = v128.load64_splat(powers, 88), s4 = v128.load64_splat(powers, 96), s5 = v128.load64_splat(powers, 104);
  const al = v128.load(src), ah = v128.load(src, 16), bl = v128.load(src, 32), bh = v128.load(src, 48);
  const lol = lows(al, bl), loh = lows(ah, bh), hil = highs(al, bl), hih = highs(ah, bh);
  const g0l = bitsOf(lol, k0, e0), g0h = bitsOf(loh, k0, e0);
  const g1l = bitsOf(lol, k1, e0), g1h = bitsOf(loh, k1, e0);
  const g2l = limb2(lol, hil, k2, e2), g2h = limb2(loh, hih, k2, e2);
  const g3l = bitsOf(hil, k3, e3), g3h = bitsOf(hih, k3, e3);
  const g4l = bitsOf(hil, k4, e3), g4h = bitsOf(hih, k4, e3);
  const g5l = limb5(hil, mark, e5), g5h = limb5(hih, mark, e5);
  const cl = v128.load(next), ch = v128.load(next, 16), dl = v128.load(next, 32), dh = v128.load(next, 48);
  const nol = lows(cl, dl), noh = lows(ch, dh), nil = highs(cl, dl), nih = highs(ch, dh);
  const f0l = dot(bitsOf(nol, k0, e0), g0l, r0, g1l, s5, g2l, s4, g3l, s3, g4l, s2, g5l, s1);
  const f0h = dot(bitsOf(noh, k0, e0), g0h, r0, g1h, s5, g2h, s4, g3h, s3, g4h, s2, g5h, s1);
  const f1l = dot(bitsOf(nol, k1, e0), g0l, r1, g1l, r0, g2l, s5, g3l, s4, g4l, s3, g5l, s2);
  const f1h = dot(bitsOf(noh, k1, e0), g0h, r1, g1h, r0, g2h, s5, g3h, s4, g4h, s3, g5h, s2);
  const f2l = dot(limb2(nol, nil, k2, e2), g0l, r2, g1l, r1, g2l, r0, g3l, s5, g4l, s4, g5l, s3);
  const f2h = dot(limb2(noh, nih, k2, e2), g0h, r2, g1h, r1, g2h, r0, g3h, s5, g4h, s4, g5h, s3);
  const f3l = dot(bitsOf(nil, k3, e3), g0l, r3, g1l, r2, g2l, r1, g3l, r0, g4l, s5, g5l, s4);
  const f3h = dot(bitsOf(nih, k3, e3), g0h, r3, g1h, r2, g2h, r1, g3h, r0, g4h, s5, g5h, s4);
  const f4l = dot(bitsOf(nil, k4, e3), g0l, r4, g1l, r3, g2l, r2, g3l, r1, g4l, r0, g5l, s5);
  const f4h = dot(bitsOf(nih, k4, e3), g0h, r4, g1h, r3, g2h, r2, g3h, r1, g4h, r0, g5h, s5);
  const f5l = dot(limb5(nil, mark, e5), g0l, r5, g1l, r4, g2l, r3, g3l, r2, g4l, r1, g5l, r0);
  const f5h = dot(limb5(nih, mark, e5), g0h, r5, g1h, r4, g2h, r3, g3h, r2, g4h, r1, g5h, r0);
  const p0 = v128.load64_splat(powers, 128), p1 = v128.load64_splat(powers, 136), p2 = v128.load64_splat(powers, 144);
  const p3 = v128.load64_splat(powers, 152), p4 = v128.load64_splat(powers, 160), p5 = v128.load64_splat(powers, 168);
  const q1 = v128.load64_splat(powers, 200), q2 = v128.load64_splat(powers, 208);
  const q3 = v128.load64_splat(powers, 216), q4 = v128.load64_splat(powers, 224), q5 = v128.load64_splat(powers, 232);
  const h0l = v128.load(h), h0h = v128.load(h, 16);
  const h1l = v128.load(h, 32), h1h = v128.load(h, 48);
  const h2l = v128.load(h, 64), h2h = v128.load(h, 80);
  const h3l = v128.load(h, 96), h3h = v128.load(h, 112);
  const h4l = v128.load(h, 128), h4h = v128.load(h, 144);
  const h5l = v128.load(h, 160), h5h = v128.load(h, 176);
  const c0l = dot(f0l, h2l, q4, h5l, q1, h3l, q3, h0l, p0, h1l, q5, h4l, q2);
  const c0h = dot(f0h, h2h, q4, h5h, q1, h3h, q3, h0h, p0, h1h, q5, h4h, q2);
  const c1l = dot(f1l, h2l, q5, h5l, q2, h3l, q4, h0l, p1, h1l, p0, h4l, q3);
  const c1h = dot(f1h, h2h, q5, h5h, q2, h3h, q4, h0h, p1, h1h, p0, h4h, q3);
  const c2l = dot(f2l, h2l, p0, h5l, q3, h3l, q5, h0l, p2, h1l, p1, h4l, q4);
  const c2h = dot(f2h, h2h, p0, h5h, q3, h3h, q5, h0h, p2, h1h, p1, h4h, q4);
  const c3l = dot(f3l, h2l, p1, h5l, q4, h3l, p0, h0l, p3, h1l, p2, h4l, q5);
  const c3h = dot(f3h, h2h, p1, h5h, q4, h3h, p0, h0h, p3, h1h, p2, h4h, q5);
  const c4l = dot(f4l, h2l, p2, h5l, q5, h3l, p1, h0l, p4, h1l, p3, h4l, p0);
  const c4h = dot(f4h, h2h, p2, h5h, q5, h3h, p1, h0h, p4, h1h, p3, h4h, p0);
  const c5l = dot(f5l, h2l, p3, h5l, p0, h3l, p2, h0l, p5, h1l, p4, h4l, p1);
  const c5h = dot(f5h, h2h, p3, h5h, p0, h3h, p2, h0h, p5, h1h, p4, h4h, p1);
  carryPairs(h, c0l, c0h, c1l, c1h, c2l, c2h, c3l, c3h, c4l, c4h, c5l, c5h);
}

/** h times r^4, r^2 (l) and r^3, r (h): the four lanes' sums together are the message's. Without a carry. */
function multiplyLast(h: usize, powers: usize, wrapped: usize): void {
  const zero = f64x2.splat(0);
  const h0l = v128.load(h), h0h = v128.load(h, 16);
  const h1l = v128.load(h, 32), h1h = v128.load(h, 48);
  const h2l = v128.load(h, 64), h2h = v128.load(h, 80);
  const h3l = v128.load(h, 96), h3h = v128.load(h, 112);
  const h4l = v128.load(h, 128), h4h = v128.load(h, 144);
  const h5l = v128.load(h, 160), h5h = v128.load(h, 176);
  const r0l = v128.load(powers), r0h = v128.load(powers, 16);
  const r1l = v128.load(powers, 32), r1h = v128.load(powers, 48);
  const r2l = v128.load(powers, 64), r2h = v128.load(powers, 80);
  const r3l = v128.load(powers, 96), r3h = v128.load(powers, 112);
  const r4l = v128.load(powers, 128), r4h = v128.load(powers, 144);
  const r5l = v128.load(powers, 160), r5h = v128.load(powers, 176);
  const s1l = v128.load(wrapped, 32), s1h = v128.load(wrapped, 48);
  const s2l = v128.load(wrapped, 64), s2h = v128.load(wrapped, 80);
  const s3l = v128.load(wrapped, 96), s3h = v128.load(wrapped, 112);
  const s4l = v128.load(wrapped, 128), s4h = v128.load(wrapped, 144);
  const s5l = v128.load(wrapped, 160), s5h = v128.load(wrapped, 176);
  const c0l = dot(zero, h0l, r0l, h1l, s5l, h2l, s4l, h3l, s3l, h4l, s2l, h5l, s1l);
  const c0h = dot(zero, h0h, r0h, h1h, s5h, h2h, s4h, h3h, s3h, h4h, s2h, h5h, s1h);
  const c1l = dot(zero, h0l, r1l, h1l, r0l, h2l, s5l, h3l, s4l, h4l, s3l, h5l, s2l);
  const c1h = dot(zero, h0h, r1h, h1h, r0h, h2h, s5h, h3h, s4h, h4h, s3h, h5h, s2h);
  const c2l = dot(zero, h0l, r2l, h1l, r1l, h2l, r0l, h3l, s5l, h4l, s4l, h5l, s3l);
  const c2h = dot(zero, h0h, r2h, h1h, r1h, h2h, r0h, h3h, s5h, h4h, s4h, h5h, s3h);
  const c3l = dot(zero, h0l, r3l, h1l, r2l, h2l, r1l, h3l, r0l, h4l, s5l, h5l, s4l);
  const c3h = dot(zero, h0h, r3h, h1h, r2h, h2h, r1h, h3h, r0h, h4h, s5h, h5h, s4h);
  const c4l = dot(zero, h0l, r4l, h1l, r3l, h2l, r2l, h3l, r1l, h4l, r0l, h5l, s5l);
  const c4h = dot(zero, h0h, r4h, h1h, r3h, h2h, r2h, h3h, r1h, h4h, r0h, h5h, s5h);
  const c5l = dot(zero, h0l, r5l, h1l, r4l, h2l, r3l, h3l, r2l, h4l, r1l, h5l, r0l);
  const c5h = dot(zero, h0h, r5h, h1h, r4h, h2h, r3h, h3h, r2h, h4h, r1h, h5h, r0h);
  v128.store(h, c0h, 16); v128.store(h, c0l);
  v128.store(h, c1h, 48); v128.store(h, c1l, 32);
  v128.store(h, c2h, 80); v128.store(h, c2l, 64);
  v128.store(h, c3h, 112); v128.store(h, c3l, 96);
  v128.store(h, c4h, 144); v128.store(h, c4l, 128);
  v128.store(h, c5h, 176); v128.store(h, c5l, 160);
}

/** The last group: what is left of the message, zeros to a multiple of 16, and the length block. */
function fillEdge(edge: usize, from: usize, left: usize, len: usize): void {
  const zero = i64x2.splat(0);
  v128.store(edge, zero, 32);
  v128.store(edge, zero, 16);
  v128.store(edge, zero);
  store<u64>(edge, 0, 48);
  store<u64>(edge, len, 56);
  const to = edge;
  let i: usize = 0;
  for (; i + 16 <= left; i += 16) v128.store(to + i, v128.load(from + i));
  for (; i < left; i++) store<u8>(to + i, load<u8>(from + i));
}

/** Limb i of the four lanes together, as an integer in its own units. */
@inline
function total(h: usize, unit: f64): u64 {
  const sum = f64x2.add(v128.load(h), v128.load(h, 16));
  return <u64>(<i64>((f64x2.extract_lane(sum, 0) + f64x2.extract_lane(sum, 1)) * unit));
}

const BITS22: u64 = 0x3fffff;
const BITS21: u64 = 0x1fffff;

/**
 * The polynomial of a message of at least four blocks (48 bytes and the length block): three words, below 2^130 + 2^38,
 * at `out`. `rLo` and `rHi` are r, clamped.
 */
export function polynomial(rLo: u64, rHi: u64, src: usize, len: usize, out: usize): void {
  const w = work();
  const h = w + H;
  const powers = w + R4;
  const edge = w + EDGE;
  const blocks = ((len + 15) >> 4) + 1;
  const groups = (blocks + 3) >> 2;
  const empty = (groups << 2) - blocks;
  let left = groups - 2; // groups between the first and the last
  let at = src + 64 - (empty << 4);
  const end = at + (left << 6);
  fillEdge(edge, end, src + len - end, len);
  preparePowers(w, rLo, rHi, groups > 2);
  absorbFirst(h, PRESENT + (empty << 5), src - (empty << 4));
  for (; left >= 2; left -= 2) {
    absorbTwo(h, powers, at, at + 64);
    at += 128;
  }
  if (left != 0) absorbTwo(h, powers, at, edge);
  else absorb(h, powers, edge);
  multiplyLast(h, w + LAST, w + LAST_WRAPPED);

  // 2^33·p is added limb by limb, so that nothing below is negative.
  let t0 = total(h, 1.0) + ((BITS22 - 4) << 33);
  let t1 = total(h + 32, 1.0 / 4194304.0) + (BITS22 << 33);
  let t2 = total(h + 64, 1.0 / 17592186044416.0) + (BITS21 << 33);
  let t3 = total(h + 96, 1.0 / 36893488147419103232.0) + (BITS22 << 33);
  let t4 = total(h + 128, 1.0 / 154742504910672534362390528.0) + (BITS22 << 33);
  let t5 = total(h + 160, 1.0 / 649037107316853453566312041152512.0) + (BITS21 << 33);
  for (let i = 0; i < 2; i++) {
    t1 += t0 >> 22; t0 &= BITS22;
    t2 += t1 >> 22; t1 &= BITS22;
    t3 += t2 >> 21; t2 &= BITS21;
    t4 += t3 >> 22; t3 &= BITS22;
    t5 += t4 >> 22; t4 &= BITS22;
    t0 += (t5 >> 21) * 5; t5 &= BITS21;
  }
  t1 += t0 >> 22; t0 &= BITS22;
  store<u64>(out, t0 | (t1 << 22) | (t2 << 44));
  store<u64>(out, (t2 >> 20) | (t3 << 1) | (t4 << 23) | (t5 << 45), 8);
  store<u64>(out, t5 >> 19, 16);
}
