/**
 * ChaCha20 keystream of four blocks, for short packets and the ends of long ones: one vector a word, in registers.
 * Spec: RFC 8439 §2.3.
 * @module
 */
import { rotate12, rotate7 } from './chacha20';
import { INITIAL, work } from './work';

@inline
export function shuffle16(v: v128): v128 {
  return i8x16.shuffle(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
}

@inline
export function shuffle8(v: v128): v128 {
  return i8x16.shuffle(v, v, 3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14);
}

/** Four words of four blocks, from one word of four blocks a vector to four words of one block a vector. */
@inline
function transpose(out: usize, a: v128, b: v128, c: v128, d: v128): void {
  const ab01 = i32x4.shuffle(a, b, 0, 4, 1, 5);
  const cd01 = i32x4.shuffle(c, d, 0, 4, 1, 5);
  const ab23 = i32x4.shuffle(a, b, 2, 6, 3, 7);
  const cd23 = i32x4.shuffle(c, d, 2, 6, 3, 7);
  v128.store(out, i64x2.shuffle(ab01, cd01, 0, 2));
  v128.store(out, i64x2.shuffle(ab01, cd01, 1, 3), 64);
  v128.store(out, i64x2.shuffle(ab23, cd23, 0, 2), 128);
  v128.store(out, i64x2.shuffle(ab23, cd23, 1, 3), 192);
}

/** Keystream of the blocks counter … counter + 3: 256 bytes to `out`. */
export function keystream4(counter: u32, out: usize): void {
  const initial = work() + INITIAL;
  const c12 = i32x4.add(i32x4.splat(counter), i32x4(0, 1, 2, 3));
  let x0 = v128.load(initial);
  let x1 = v128.load(initial, 32);
  let x2 = v128.load(initial, 64);
  let x3 = v128.load(initial, 96);
  let x4 = v128.load(initial, 128);
  let x5 = v128.load(initial, 160);
  let x6 = v128.load(initial, 192);
  let x7 = v128.load(initial, 224);
  let x8 = v128.load(initial, 256);
  let x9 = v128.load(initial, 288);
  let x10 = v128.load(initial, 320);
  let x11 = v128.load(initial, 352);
  let x12 = c12;
  let x13 = v128.load(initial, 416);
  let x14 = v128.load(initial, 448);
  let x15 = v128.load(initial, 480);
  for (let i = 0; i < 10; i++) {
    x0 = i32x4.add(x0, x4); x1 = i32x4.add(x1, x5); x2 = i32x4.add(x2, x6); x3 = i32x4.add(x3, x7);
    x12 = shuffle16(v128.xor(x12, x0)); x13 = shuffle16(v128.xor(x13, x1));
    x14 = shuffle16(v128.xor(x14, x2)); x15 = shuffle16(v128.xor(x15, x3));
    x8 = i32x4.add(x8, x12); x9 = i32x4.add(x9, x13); x10 = i32x4.add(x10, x14); x11 = i32x4.add(x11, x15);
    x4 = rotate12(v128.xor(x4, x8)); x5 = rotate12(v128.xor(x5, x9));
    x6 = rotate12(v128.xor(x6, x10)); x7 = rotate12(v128.xor(x7, x11));
    x0 = i32x4.add(x0, x4); x1 = i32x4.add(x1, x5); x2 = i32x4.add(x2, x6); x3 = i32x4.add(x3, x7);
    x12 = shuffle8(v128.xor(x12, x0)); x13 = shuffle8(v128.xor(x13, x1));
    x14 = shuffle8(v128.xor(x14, x2)); x15 = shuffle8(v128.xor(x15, x3));
    x8 = i32x4.add(x8, x12); x9 = i32x4.add(x9, x13); x10 = i32x4.add(x10, x14); x11 = i32x4.add(x11, x15);
    x4 = rotate7(v128.xor(x4, x8)); x5 = rotate7(v128.xor(x5, x9));
    x6 = rotate7(v128.xor(x6, x10)); x7 = rotate7(v128.xor(x7, x11));

    x0 = i32x4.add(x0, x5); x1 = i32x4.add(x1, x6); x2 = i32x4.add(x2, x7); x3 = i32x4.add(x3, x4);
    x15 = shuffle16(v128.xor(x15, x0)); x12 = shuffle16(v128.xor(x12, x1));
    x13 = shuffle16(v128.xor(x13, x2)); x14 = shuffle16(v128.xor(x14, x3));
    x10 = i32x4.add(x10, x15); x11 = i32x4.add(x11, x12); x8 = i32x4.add(x8, x13); x9 = i32x4.add(x9, x14);
    x5 = rotate12(v128.xor(x5, x10)); x6 = rotate12(v128.xor(x6, x11));
    x7 = rotate12(v128.xor(x7, x8)); x4 = rotate12(v128.xor(x4, x9));
    x0 = i32x4.add(x0, x5); x1 = i32x4.add(x1, x6); x2 = i32x4.add(x2, x7); x3 = i32x4.add(x3, x4);
    x15 = shuffle8(v128.xor(x15, x0)); x12 = shuffle8(v128.xor(x12, x1));
    x13 = shuffle8(v128.xor(x13, x2)); x14 = shuffle8(v128.xor(x14, x3));
    x10 = i32x4.add(x10, x15); x11 = i32x4.add(x11, x12); x8 = i32x4.add(x8, x13); x9 = i32x4.add(x9, x14);
    x5 = rotate7(v128.xor(x5, x10)); x6 = rotate7(v128.xor(x6, x11));
    x7 = rotate7(v128.xor(x7, x8)); x4 = rotate7(v128.xor(x4, x9));
  }
  x0 = i32x4.add(x0, v128.load(initial));
  x1 = i32x4.add(x1, v128.load(initial, 32));
  x2 = i32x4.add(x2, v128.load(initial, 64));
  x3 = i32x4.add(x3, v128.load(initial, 96));
  transpose(out, x0, x1, x2, x3);
  x4 = i32x4.add(x4, v128.load(initial, 128));
  x5 = i32x4.add(x5, v128.load(initial, 160));
  x6 = i32x4.add(x6, v128.load(initial, 192));
  x7 = i32x4.add(x7, v128.load(initial, 224));
  transpose(out + 16, x4, x5, x6, x7);
  x8 = i32x4.add(x8, v128.load(initial, 256));
  x9 = i32x4.add(x9, v128.load(initial, 288));
  x10 = i32x4.add(x10, v128.load(initial, 320));
  x11 = i32x4.add(x11, v128.load(initial, 352));
  transpose(out + 32, x8, x9, x10, x11);
  x12 = i32x4.add(x12, c12);
  x13 = i32x4.add(x13, v128.load(initial, 416));
  x14 = i32x4.add(x14, v128.load(initial, 448));
  x15 = i32x4.add(x15, v128.load(initial, 480));
  transpose(out + 48, x12, x13, x14, x15);
}
