/**
 * ChaCha20-Poly1305 of one packet: `seal` and `open`, with no additional data.
 * Spec: RFC 8439 §2.8; nonce: WireGuard paper §5.4.6 (four zero bytes, then the counter, little endian).
 * All addresses are byte offsets in the one shared memory. The scratch is static: one thread a memory.
 * @module
 */
import { keystream4, prepare } from './chacha20';
import { authenticate } from './poly1305';

// @ts-ignore: decorator
@external('env', 'foreignSeal')
declare function foreignSeal(key: usize, ctrLo: u32, ctrHi: u32, src: usize, dst: usize, len: usize): void;
// @ts-ignore: decorator
@external('env', 'foreignOpen')
declare function foreignOpen(key: usize, ctrLo: u32, ctrHi: u32, src: usize, dst: usize, len: usize): i32;

const STREAM: usize = memory.data(256, 16);
const TAG: usize = memory.data(16, 16);
const FIRST: usize = 192; // bytes of keystream in the first call of four blocks, which also holds the MAC key

let foreign = false;

/** 0: this kernel; 1: the imported functions. */
export function selectCipher(mode: i32): void {
  foreign = mode == 1;
}

/** First byte that belongs to nobody here: the kernel's own data lies below. */
export function heapBase(): usize {
  return (__heap_base + 0xffff) & ~0xffff;
}

@inline
function xorBytes(stream: usize, src: usize, dst: usize, len: usize): void {
  let i: usize = 0;
  for (; i + 16 <= len; i += 16) v128.store(dst + i, v128.xor(v128.load(src + i), v128.load(stream + i)));
  for (; i < len; i++) store<u8>(dst + i, load<u8>(src + i) ^ load<u8>(stream + i));
}

/** XORs the keystream into the packet; block 0 … 3 stand in STREAM already. */
function encrypt(src: usize, dst: usize, len: usize): void {
  const head = min(len, FIRST);
  xorBytes(STREAM + 64, src, dst, head);
  let counter: u32 = 4;
  for (let done = head; done < len; done += 256) {
    keystream4(counter, STREAM);
    counter += 4;
    xorBytes(STREAM, src + done, dst + done, min(len - done, 256));
  }
}

const MACKEY: usize = memory.data(32, 16);

@inline
function begin(key: usize, ctrLo: u32, ctrHi: u32): void {
  prepare(key, ctrLo, ctrHi);
  keystream4(0, STREAM);
  v128.store(MACKEY, v128.load(STREAM));
  v128.store(MACKEY, v128.load(STREAM, 16), 16);
}

/** Writes `len` bytes of ciphertext and the 16 bytes of the tag to `dst`; `src` and `dst` are equal or disjoint. */
export function seal(key: usize, ctrLo: u32, ctrHi: u32, src: usize, dst: usize, len: usize): void {
  if (foreign) {
    foreignSeal(key, ctrLo, ctrHi, src, dst, len);
    return;
  }
  begin(key, ctrLo, ctrHi);
  encrypt(src, dst, len);
  authenticate(MACKEY, dst, len, dst + len);
}

/** 0 and the plaintext at `dst`, or -1 and nothing written. `src` holds `len` bytes and the tag. */
export function open(key: usize, ctrLo: u32, ctrHi: u32, src: usize, dst: usize, len: usize): i32 {
  if (foreign) return foreignOpen(key, ctrLo, ctrHi, src, dst, len);
  begin(key, ctrLo, ctrHi);
  authenticate(MACKEY, src, len, TAG);
  const difference = (load<u64>(TAG) ^ load<u64>(src + len)) | (load<u64>(TAG, 8) ^ load<u64>(src + len, 8));
  if (difference != 0) return -1;
  encrypt(src, dst, len);
  return 0;
}
