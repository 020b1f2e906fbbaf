/**
 * Hash, Hmac and Mac of the handshake: BLAKE2s, with a key and 16 bytes of output in Mac.
 * Spec: RFC 7693 §2.5, §3.3; RFC 2104 §2; WireGuard paper §5.4 and §5.4.4.
 * @module
 */
import { compress } from './blake2s-rounds';
import { MAC_BLOCK, MAC_END, MAC_INNER, MAC_OUT, MAC_STATE, work } from './work';

// @ts-ignore: decorator
@external('env', 'foreignMac')
declare function foreignMac(key: usize, keyLen: usize, src: usize, len: usize, out: usize): void;

const BLOCK: usize = 64;
const HASH_PARAMETERS: u32 = 0x01010020;
const MAC_PARAMETERS: u32 = 0x01010010;

let foreign = false;

/** True: the imported function computes. */
export function selectMac(toForeign: bool): void {
  foreign = toForeign;
}

/** RFC 7693 §2.5: the parameter block is output length, key length, fan-out 1, depth 1. */
@inline
function begin(parameters: u32): void {
  const w = work();
  v128.store(w + MAC_STATE, i32x4(0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a));
  v128.store(w + MAC_STATE, i32x4(0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19), 16);
  store<u32>(w + MAC_STATE, load<u32>(w + MAC_STATE) ^ parameters);
}

/** Hashes the rest of the message, before which there were `before` bytes. */
function finish(src: usize, len: usize, before: usize): void {
  const block = work() + MAC_BLOCK;
  let done: usize = 0;
  for (; len - done > BLOCK; done += BLOCK) compress(src + done, <u32>(before + done + BLOCK), 0);
  memory.fill(block, 0, BLOCK);
  memory.copy(block, src + done, len - done);
  compress(block, <u32>(before + len), 0xffffffff);
}

@inline
function give(out: usize): void {
  const w = work();
  v128.store(out, v128.load(w + MAC_STATE));
  v128.store(out, v128.load(w + MAC_STATE, 16), 16);
}

/** Hash(message): 32 bytes to `out`. */
export function hash(src: usize, len: usize, out: usize): void {
  begin(HASH_PARAMETERS);
  finish(src, len, 0);
  give(out);
}

/** The key, filled up to a block, with every byte xored with that of `pad`. */
@inline
function hashPad(key: usize, keyLen: usize, pad: v128, last: u32): void {
  const block = work() + MAC_BLOCK;
  memory.fill(block, 0, BLOCK);
  memory.copy(block, key, keyLen);
  for (let i: usize = 0; i < BLOCK; i += 16) v128.store(block + i, v128.xor(v128.load(block + i), pad));
  begin(HASH_PARAMETERS);
  compress(block, <u32>BLOCK, last);
}

/** Hmac(key, message): 32 bytes to `out`; `keyLen` is at most 64. Nothing of it stays in the working memory. */
export function hmac(key: usize, keyLen: usize, src: usize, len: usize, out: usize): void {
  const w = work();
  hashPad(key, keyLen, i8x16.splat(0x36), len == 0 ? 0xffffffff : 0);
  if (len > 0) finish(src, len, BLOCK);
  give(w + MAC_INNER);
  hashPad(key, keyLen, i8x16.splat(0x5c), 0);
  finish(w + MAC_INNER, 32, BLOCK);
  give(out);
  memory.fill(w + MAC_STATE, 0, MAC_END - MAC_STATE);
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
  const block = work() + MAC_BLOCK;
  begin(MAC_PARAMETERS ^ (<u32>keyLen << 8));
  memory.fill(block, 0, BLOCK);
  memory.copy(block, key, keyLen);
  compress(block, <u32>BLOCK, 0);
  give(state);
}

/** The 16 bytes of Mac(key, message) to `out`, the key being what `macBegin` made of it; `len` is at least 1. */
export function mac(state: usize, src: usize, len: usize, out: usize): void {
  if (foreign) {
    foreignMac(state, load<u32>(state, 32), src, len, out);
    return;
  }
  const w = work();
  v128.store(w + MAC_STATE, v128.load(state));
  v128.store(w + MAC_STATE, v128.load(state, 16), 16);
  finish(src, len, BLOCK);
  v128.store(out, v128.load(w + MAC_STATE));
}

/** 1 when the 16 bytes at `expected` are Mac(key, message), else 0; looks at all of them. */
export function macHolds(state: usize, src: usize, len: usize, expected: usize): i32 {
  const out = work() + MAC_OUT;
  mac(state, src, len, out);
  const difference = (load<u64>(out) ^ load<u64>(expected)) | (load<u64>(out, 8) ^ load<u64>(expected, 8));
  return <i32>(difference == 0);
}
