/**
 * ChaCha20 keystream. Words stand side by side: a vector holds one word of four consecutive blocks.
 *
 * Eight blocks at a time, the vectors come in pairs, x (blocks 0–3) and y (blocks 4–7), next to each other in memory and
 * treated alike: what V8 needs to join them into 256-bit code. Hence also shifts where 128-bit code would shuffle bytes,
 * and y stored before x (see work.ts for the other rules). The state lies in memory from round to round, so that the
 * rounds of up to three groups of eight take turns: one group alone waits for its own results.
 * For up to four blocks one group of single vectors is enough: chacha20-four.ts.
 *
 * Spec: RFC 8439 §2.3 (block function), §2.4 (stream); nonce as in the WireGuard paper §5.4.6.
 * @module
 */
import { COUNTERS, GROUP, GROUPS, INITIAL, work } from './work';

// Written out: -O1 does not fold 32 - n, and V8 only joins shifts by equal constants.
@inline
export function rotate7(v: v128): v128 {
  return v128.or(i32x4.shl(v, 7), i32x4.shr_u(v, 25));
}

@inline
function rotate8(v: v128): v128 {
  return v128.or(i32x4.shl(v, 8), i32x4.shr_u(v, 24));
}

@inline
export function rotate12(v: v128): v128 {
  return v128.or(i32x4.shl(v, 12), i32x4.shr_u(v, 20));
}

@inline
function rotate16(v: v128): v128 {
  return v128.or(i32x4.shl(v, 16), i32x4.shr_u(v, 16));
}

@inline
function pair(at: usize, v: v128): void {
  v128.store(at, v, 16);
  v128.store(at, v);
}

/** Constants, key and nonce of one packet: RFC 8439 §2.3, the nonce being four zero bytes and the counter. */
export function prepare(key: usize, ctrLo: u32, ctrHi: u32): void {
  const initial = work() + INITIAL;
  pair(initial, i32x4.splat(0x61707865));
  pair(initial + 32, i32x4.splat(0x3320646e));
  pair(initial + 64, i32x4.splat(0x79622d32));
  pair(initial + 96, i32x4.splat(0x6b206574));
  for (let i: usize = 0; i < 8; i++) pair(initial + 128 + (i << 5), v128.load32_splat(key + (i << 2)));
  pair(initial + 416, i32x4.splat(0));
  pair(initial + 448, i32x4.splat(ctrLo));
  pair(initial + 480, i32x4.splat(ctrHi));
}

/** One column round and one diagonal round, RFC 8439 §2.3.1, on eight blocks. Word 12 comes from its own place. */
function doubleRound(from: usize, counters: usize, to: usize): void {
  let x0 = v128.load(from), y0 = v128.load(from, 16);
  let x1 = v128.load(from, 32), y1 = v128.load(from, 48);
  let x2 = v128.load(from, 64), y2 = v128.load(from, 80);
  let x3 = v128.load(from, 96), y3 = v128.load(from, 112);
  let x4 = v128.load(from, 128), y4 = v128.load(from, 144);
  let x5 = v128.load(from, 160), y5 = v128.load(from, 176);
  let x6 = v128.load(from, 192), y6 = v128.load(from, 208);
  let x7 = v128.load(from, 224), y7 = v128.load(from, 240);
  let x8 = v128.load(from, 256), y8 = v128.load(from, 272);
  let x9 = v128.load(from, 288), y9 = v128.load(from, 304);
  let x10 = v128.load(from, 320), y10 = v128.load(from, 336);
  let x11 = v128.load(from, 352), y11 = v128.load(from, 368);
  let x12 = v128.load(counters), y12 = v128.load(counters, 16);
  let x13 = v128.load(from, 416), y13 = v128.load(from, 432);
  let x14 = v128.load(from, 448), y14 = v128.load(from, 464);
  let x15 = v128.load(from, 480), y15 = v128.load(from, 496);

  x0 = i32x4.add(x0, x4); y0 = i32x4.add(y0, y4);
  x12 = v128.xor(x12, x0); y12 = v128.xor(y12, y0);
  x12 = rotate16(x12); y12 = rotate16(y12);
  x8 = i32x4.add(x8, x12); y8 = i32x4.add(y8, y12);
  x4 = v128.xor(x4, x8); y4 = v128.xor(y4, y8);
  x4 = rotate12(x4); y4 = rotate12(y4);
  x0 = i32x4.add(x0, x4); y0 = i32x4.add(y0, y4);
  x12 = v128.xor(x12, x0); y12 = v128.xor(y12, y0);
  x12 = rotate8(x12); y12 = rotate8(y12);
  x8 = i32x4.add(x8, x12); y8 = i32x4.add(y8, y12);
  x4 = v128.xor(x4, x8); y4 = v128.xor(y4, y8);
  x4 = rotate7(x4); y4 = rotate7(y4);

  x1 = i32x4.add(x1, x5); y1 = i32x4.add(y1, y5);
  x13 = v128.xor(x13, x1); y13 = v128.xor(y13, y1);
  x13 = rotate16(x13); y13 = rotate16(y13);
  x9 = i32x4.add(x9, x13); y9 = i32x4.add(y9, y13);
  x5 = v128.xor(x5, x9); y5 = v128.xor(y5, y9);
  x5 = rotate12(x5); y5 = rotate12(y5);
  x1 = i32x4.add(x1, x5); y1 = i32x4.add(y1, y5);
  x13 = v128.xor(x13, x1); y13 = v128.xor(y13, y1);
  x13 = rotate8(x13); y13 = rotate8(y13);
  x9 = i32x4.add(x9, x13); y9 = i32x4.add(y9, y13);
  x5 = v128.xor(x5, x9); y5 = v128.xor(y5, y9);
  x5 = rotate7(x5); y5 = rotate7(y5);

  x2 = i32x4.add(x2, x6); y2 = i32x4.add(y2, y6);
  x14 = v128.xor(x14, x2); y14 = v128.xor(y14, y2);
  x14 = rotate16(x14); y14 = rotate16(y14);
  x10 = i32x4.add(x10, x14); y10 = i32x4.add(y10, y14);
  x6 = v128.xor(x6, x10); y6 = v128.xor(y6, y10);
  x6 = rotate12(x6); y6 = rotate12(y6);
  x2 = i32x4.add(x2, x6); y2 = i32x4.add(y2, y6);
  x14 = v128.xor(x14, x2); y14 = v128.xor(y14, y2);
  x14 = rotate8(x14); y14 = rotate8(y14);
  x10 = i32x4.add(x10, x14); y10 = i32x4.add(y10, y14);
  x6 = v128.xor(x6, x10); y6 = v128.xor(y6, y10);
  x6 = rotate7(x6); y6 = rotate7(y6);

  x3 = i32x4.add(x3, x7); y3 = i32x4.add(y3, y7);
  x15 = v128.xor(x15, x3); y15 = v128.xor(y15, y3);
  x15 = rotate16(x15); y15 = rotate16(y15);
  x11 = i32x4.add(x11, x15); y11 = i32x4.add(y11, y15);
  x7 = v128.xor(x7, x11); y7 = v128.xor(y7, y11);
  x7 = rotate12(x7); y7 = rotate12(y7);
  x3 = i32x4.add(x3, x7); y3 = i32x4.add(y3, y7);
  x15 = v128.xor(x15, x3); y15 = v128.xor(y15, y3);
  x15 = rotate8(x15); y15 = rotate8(y15);
  x11 = i32x4.add(x11, x15); y11 = i32x4.add(y11, y15);
  x7 = v128.xor(x7, x11); y7 = v128.xor(y7, y11);
  x7 = rotate7(x7); y7 = rotate7(y7);

  x0 = i32x4.add(x0, x5); y0 = i32x4.add(y0, y5);
  x15 = v128.xor(x15, x0); y15 = v128.xor(y15, y0);
  x15 = rotate16(x15); y15 = rotate16(y15);
  x10 = i32x4.add(x10, x15); y10 = i32x4.add(y10, y15);
  x5 = v128.xor(x5, x10); y5 = v128.xor(y5, y10);
  x5 = rotate12(x5); y5 = rotate12(y5);
  x0 = i32x4.add(x0, x5); y0 = i32x4.add(y0, y5);
  x15 = v128.xor(x15, x0); y15 = v128.xor(y15, y0);
  x15 = rotate8(x15); y15 = rotate8(y15);
  x10 = i32x4.add(x10, x15); y10 = i32x4.add(y10, y15);
  x5 = v128.xor(x5, x10); y5 = v128.xor(y5, y10);
  x5 = rotate7(x5); y5 = rotate7(y5);

  x1 = i32x4.add(x1, x6); y1 = i32x4.add(y1, y6);
  x12 = v128.xor(x12, x1); y12 = v128.xor(y12, y1);
  x12 = rotate16(x12); y12 = rotate16(y12);
  x11 = i32x4.add(x11, x12); y11 = i32x4.add(y11, y12);
  x6 = v128.xor(x6, x11); y6 = v128.xor(y6, y11);
  x6 = rotate12(x6); y6 = rotate12(y6);
  x1 = i32x4.add(x1, x6); y1 = i32x4.add(y1, y6);
  x12 = v128.xor(x12, x1); y12 = v128.xor(y12, y1);
  x12 = rotate8(x12); y12 = rotate8(y12);
  x11 = i32x4.add(x11, x12); y11 = i32x4.add(y11, y12);
  x6 = v128.xor(x6, x11); y6 = v128.xor(y6, y11);
  x6 = rotate7(x6); y6 = rotate7(y6);

  x2 = i32x4.add(x2, x7); y2 = i32x4.add(y2, y7);
  x13 = v128.xor(x13, x2); y13 = v128.xor(y13, y2);
  x13 = rotate16(x13); y13 = rotate16(y13);
  x8 = i32x4.add(x8, x13); y8 = i32x4.add(y8, y13);
  x7 = v128.xor(x7, x8); y7 = v128.xor(y7, y8);
  x7 = rotate12(x7); y7 = rotate12(y7);
  x2 = i32x4.add(x2, x7); y2 = i32x4.add(y2, y7);
  x13 = v128.xor(x13, x2); y13 = v128.xor(y13, y2);
  x13 = rotate8(x13); y13 = rotate8(y13);
  x8 = i32x4.add(x8, x13); y8 = i32x4.add(y8, y13);
  x7 = v128.xor(x7, x8); y7 = v128.xor(y7, y8);
  x7 = rotate7(x7); y7 = rotate7(y7);

  x3 = i32x4.add(x3, x4); y3 = i32x4.add(y3, y4);
  x14 = v128.xor(x14, x3); y14 = v128.xor(y14, y3);
  x14 = rotate16(x14); y14 = rotate16(y14);
  x9 = i32x4.add(x9, x14); y9 = i32x4.add(y9, y14);
  x4 = v128.xor(x4, x9); y4 = v128.xor(y4, y9);
  x4 = rotate12(x4); y4 = rotate12(y4);
  x3 = i32x4.add(x3, x4); y3 = i32x4.add(y3, y4);
  x14 = v128.xor(x14, x3); y14 = v128.xor(y14, y3);
  x14 = rotate8(x14); y14 = rotate8(y14);
  x9 = i32x4.add(x9, x14); y9 = i32x4.add(y9, y14);
  x4 = v128.xor(x4, x9); y4 = v128.xor(y4, y9);
  x4 = rotate7(x4); y4 = rotate7(y4);

  v128.store(to, y0, 16); v128.store(to, x0);
  v128.store(to, y1, 48); v128.store(to, x1, 32);
  v128.store(to, y2, 80); v128.store(to, x2, 64);
  v128.store(to, y3, 112); v128.store(to, x3, 96);
  v128.store(to, y4, 144); v128.store(to, x4, 128);
  v128.store(to, y5, 176); v128.store(to, x5, 160);
  v128.store(to, y6, 208); v128.store(to, x6, 192);
  v128.store(to, y7, 240); v128.store(to, x7, 224);
  v128.store(to, y8, 272); v128.store(to, x8, 256);
  v128.store(to, y9, 304); v128.store(to, x9, 288);
  v128.store(to, y10, 336); v128.store(to, x10, 320);
  v128.store(to, y11, 368); v128.store(to, x11, 352);
  v128.store(to, y12, 400); v128.store(to, x12, 384);
  v128.store(to, y13, 432); v128.store(to, x13, 416);
  v128.store(to, y14, 464); v128.store(to, x14, 448);
  v128.store(to, y15, 496); v128.store(to, x15, 480);
}

/**
 * Adds the initial state to four words, and turns vectors of one word of four blocks into vectors of four words of one
 * block, in place: block b of the eight then stands at 32·(b mod 4), + 16 for the upper four.
 */
function finishWords(at: usize, first: usize, initial: usize): void {
  const ax = i32x4.add(v128.load(at), v128.load(first));
  const ay = i32x4.add(v128.load(at, 16), v128.load(first, 16));
  const bx = i32x4.add(v128.load(at, 32), v128.load(initial, 32));
  const by = i32x4.add(v128.load(at, 48), v128.load(initial, 48));
  const cx = i32x4.add(v128.load(at, 64), v128.load(initial, 64));
  const cy = i32x4.add(v128.load(at, 80), v128.load(initial, 80));
  const dx = i32x4.add(v128.load(at, 96), v128.load(initial, 96));
  const dy = i32x4.add(v128.load(at, 112), v128.load(initial, 112));
  const ab01x = i32x4.shuffle(ax, bx, 0, 4, 1, 5), ab01y = i32x4.shuffle(ay, by, 0, 4, 1, 5);
  const cd01x = i32x4.shuffle(cx, dx, 0, 4, 1, 5), cd01y = i32x4.shuffle(cy, dy, 0, 4, 1, 5);
  const ab23x = i32x4.shuffle(ax, bx, 2, 6, 3, 7), ab23y = i32x4.shuffle(ay, by, 2, 6, 3, 7);
  const cd23x = i32x4.shuffle(cx, dx, 2, 6, 3, 7), cd23y = i32x4.shuffle(cy, dy, 2, 6, 3, 7);
  v128.store(at, i64x2.shuffle(ab01y, cd01y, 0, 2), 16); v128.store(at, i64x2.shuffle(ab01x, cd01x, 0, 2));
  v128.store(at, i64x2.shuffle(ab01y, cd01y, 1, 3), 48); v128.store(at, i64x2.shuffle(ab01x, cd01x, 1, 3), 32);
  v128.store(at, i64x2.shuffle(ab23y, cd23y, 0, 2), 80); v128.store(at, i64x2.shuffle(ab23x, cd23x, 0, 2), 64);
  v128.store(at, i64x2.shuffle(ab23y, cd23y, 1, 3), 112); v128.store(at, i64x2.shuffle(ab23x, cd23x, 1, 3), 96);
}

/**
 * Keystream of `groups` (at most 3) times eight blocks from `counter` on. The 16 bytes p of block b of group g come to
 * stand in `work` at GROUPS + 512·g + 128·p + 32·(b mod 4), + 16 for the upper four blocks.
 */
export function keystreamGroups(counter: u32, groups: usize): void {
  const w = work();
  const initial = w + INITIAL;
  const counters = w + COUNTERS;
  const end = w + GROUPS + groups * GROUP;
  for (let g: usize = 0; g < groups; g++) {
    const first = i32x4.add(i32x4.splat(counter + <u32>(g << 3)), i32x4(0, 1, 2, 3));
    v128.store(counters + (g << 5), i32x4.add(first, i32x4.splat(4)), 16);
    v128.store(counters + (g << 5), first);
    doubleRound(initial, counters + (g << 5), w + GROUPS + g * GROUP);
  }
  for (let i = 1; i < 10; i++) {
    for (let group = w + GROUPS; group < end; group += GROUP) doubleRound(group, group + 384, group);
  }
  for (let g: usize = 0; g < groups; g++) {
    const group = w + GROUPS + g * GROUP;
    finishWords(group, initial, initial);
    finishWords(group + 128, initial + 128, initial + 128);
    finishWords(group + 256, initial + 256, initial + 256);
    finishWords(group + 384, counters + (g << 5), initial + 384);
  }
}
