/**
 * Mac(key, message) of the handshake: keyed BLAKE2s with 16 bytes of output. The four rows of the state are a vector each;
 * which words go where is written out, because a table of it in memory would have to be read by secret-looking indices.
 * Spec: RFC 7693 §3.1–3.3, §2.7 (SIGMA); WireGuard paper §5.4.4.
 * @module
 */
import { shuffle16 } from './chacha20-four';
import { MAC_BLOCK, MAC_OUT, MAC_ROWS, MAC_STATE, work } from './work';

// @ts-ignore: decorator
@external('env', 'foreignMac')
declare function foreignMac(key: usize, keyLen: usize, src: usize, len: usize, out: usize): void;

const BLOCK: usize = 64;

let foreign = false;

/** True: the imported function computes. */
export function selectMac(toForeign: bool): void {
  foreign = toForeign;
}

@inline
function words(block: usize, i: usize, j: usize, k: usize, l: usize): v128 {
  return i32x4(
    load<i32>(block + (i << 2)),
    load<i32>(block + (j << 2)),
    load<i32>(block + (k << 2)),
    load<i32>(block + (l << 2)),
  );
}

/** G of RFC 7693 §3.1 on four columns at once; then b, c and d turn, so that diagonals stand as columns (and back). */
@inline
function mix(w: usize, x: v128, y: v128, back: bool): void {
  const rows = w + MAC_ROWS;
  let b = v128.load(rows, 16);
  let a = i32x4.add(i32x4.add(v128.load(rows), b), x);
  let d = shuffle16(v128.xor(v128.load(rows, 48), a));
  let c = i32x4.add(v128.load(rows, 32), d);
  // To the right here, where ChaCha20 goes to the left.
  b = v128.xor(b, c);
  b = v128.or(i32x4.shr_u(b, 12), i32x4.shl(b, 20));
  a = i32x4.add(i32x4.add(a, b), y);
  d = v128.xor(d, a);
  d = i8x16.shuffle(d, d, 1, 2, 3, 0, 5, 6, 7, 4, 9, 10, 11, 8, 13, 14, 15, 12);
  c = i32x4.add(c, d);
  b = v128.xor(b, c);
  b = v128.or(i32x4.shr_u(b, 7), i32x4.shl(b, 25));
  v128.store(rows, a);
  v128.store(rows, back ? i32x4.shuffle(b, b, 3, 0, 1, 2) : i32x4.shuffle(b, b, 1, 2, 3, 0), 16);
  v128.store(rows, i32x4.shuffle(c, c, 2, 3, 0, 1), 32);
  v128.store(rows, back ? i32x4.shuffle(d, d, 1, 2, 3, 0) : i32x4.shuffle(d, d, 3, 0, 1, 2), 48);
}

function columns(w: usize, x: v128, y: v128): void {
  mix(w, x, y, false);
}

function diagonals(w: usize, x: v128, y: v128): void {
  mix(w, x, y, true);
}

// One round: the arguments are a line of SIGMA.
@inline
function round(
  w: usize, m: usize,
  s0: usize, s1: usize, s2: usize, s3: usize, s4: usize, s5: usize, s6: usize, s7: usize,
  s8: usize, s9: usize, s10: usize, s11: usize, s12: usize, s13: usize, s14: usize, s15: usize,
): void {
  columns(w, words(m, s0, s2, s4, s6), words(m, s1, s3, s5, s7));
  diagonals(w, words(m, s8, s10, s12, s14), words(m, s9, s11, s13, s15));
}

/** F of RFC 7693 §3.2: `done` bytes hashed with this block, `last` all ones if it is the last. */
function compress(block: usize, done: u32, last: u32): void {
  const w = work();
  const a = v128.load(w + MAC_STATE);
  const b = v128.load(w + MAC_STATE, 16);
  v128.store(w + MAC_ROWS, a);
  v128.store(w + MAC_ROWS, b, 16);
  v128.store(w + MAC_ROWS, i32x4(0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a), 32);
  const iv = i32x4(0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19);
  v128.store(w + MAC_ROWS, v128.xor(iv, i32x4(done, 0, last, 0)), 48);
  round(w, block, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  round(w, block, 14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3);
  round(w, block, 11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4);
  round(w, block, 7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8);
  round(w, block, 9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13);
  round(w, block, 2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9);
  round(w, block, 12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11);
  round(w, block, 13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10);
  round(w, block, 6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5);
  round(w, block, 10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0);
  v128.store(w + MAC_STATE, v128.xor(a, v128.xor(v128.load(w + MAC_ROWS), v128.load(w + MAC_ROWS, 32))));
  v128.store(w + MAC_STATE, v128.xor(b, v128.xor(v128.load(w + MAC_ROWS, 16), v128.load(w + MAC_ROWS, 48))), 16);
}

/**
 * What a key makes of the hash before any message, to `state`, which is MAC_KEY_SIZE bytes; `keyLen` is 1 to 32. Under the
 * imported function it is the key itself and its length.
 */
export function macBegin(key: usize, keyLen: usize, state: usize): void {
  if (foreign) {
    memory.copy(state, key, keyLen);
    store<u32>(state, <u32>keyLen, 32);
    return;
  }
  const w = work();
  const block = w + MAC_BLOCK;
  // RFC 7693 §2.5: the parameter block is output length, key length, fan-out 1, depth 1.
  v128.store(w + MAC_STATE, i32x4(0x6a09e667 ^ 0x01010010, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a));
  v128.store(w + MAC_STATE, i32x4(0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19), 16);
  store<u32>(w + MAC_STATE, load<u32>(w + MAC_STATE) ^ (<u32>keyLen << 8));
  memory.fill(block, 0, BLOCK);
  memory.copy(block, key, keyLen);
  compress(block, <u32>BLOCK, 0);
  v128.store(state, v128.load(w + MAC_STATE));
  v128.store(state, v128.load(w + MAC_STATE, 16), 16);
}

/** The 16 bytes of Mac(key, message) to `out`, the key being what `macBegin` made of it; `len` is at least 1. */
export function mac(state: usize, src: usize, len: usize, out: usize): void {
  if (foreign) {
    foreignMac(state, load<u32>(state, 32), src, len, out);
    return;
  }
  const w = work();
  const block = w + MAC_BLOCK;
  v128.store(w + MAC_STATE, v128.load(state));
  v128.store(w + MAC_STATE, v128.load(state, 16), 16);
  let done: usize = 0;
  for (; len - done > BLOCK; done += BLOCK) compress(src + done, <u32>(BLOCK + done + BLOCK), 0);
  memory.fill(block, 0, BLOCK);
  memory.copy(block, src + done, len - done);
  compress(block, <u32>(BLOCK + len), 0xffffffff);
  v128.store(out, v128.load(w + MAC_STATE));
}

/** 1 when the 16 bytes at `expected` are Mac(key, message), else 0; looks at all of them. */
export function macHolds(state: usize, src: usize, len: usize, expected: usize): i32 {
  const out = work() + MAC_OUT;
  mac(state, src, len, out);
  const difference = (load<u64>(out) ^ load<u64>(expected)) | (load<u64>(out, 8) ^ load<u64>(expected, 8));
  return <i32>(difference == 0);
}
