/**
 * ChaCha20-Poly1305 of one packet: `seal` and `open`, with no additional data.
 * Spec: RFC 8439 §2.8; nonce: WireGuard paper §5.4.6 (four zero bytes, then the counter, little endian).
 * All addresses are byte offsets in the one shared memory. The scratch is static: one thread a memory.
 * @module
 */
import { selectMac } from './blake2s';
import { keystreamGroups, prepare } from './chacha20';
import { keystream4 } from './chacha20-four';
import { selectCookie } from './cookie';
import { authenticate } from './poly1305';
import { GROUPS, MAC_KEY, TAG, work } from './work';

// @ts-ignore: decorator
@external('env', 'foreignSeal')
declare function foreignSeal(key: usize, ctrLo: u32, ctrHi: u32, src: usize, dst: usize, len: usize): void;
// @ts-ignore: decorator
@external('env', 'foreignOpen')
declare function foreignOpen(key: usize, ctrLo: u32, ctrHi: u32, src: usize, dst: usize, len: usize): i32;

let foreign = false;

/** 0: this kernel; 1: the imported functions. */
export function selectCipher(mode: i32): void {
  foreign = mode == 1;
  selectMac(foreign);
  selectCookie(foreign);
}

/** First byte that belongs to nobody here: the kernel's own data lies below. */
export function heapBase(): usize {
  return (__heap_base + 0xffff) & ~0xffff;
}

/** Makes keystream from block `counter` on, `wanted` blocks or fewer. Returns how many. */
function keystream(counter: u32, wanted: usize): usize {
  if (wanted <= 4) {
    keystream4(counter, work() + GROUPS);
    return wanted;
  }
  // What is over after whole groups of eight is left to keystream4 where that is enough for it.
  const groups = min<usize>(3, (wanted + 3) >> 3);
  keystreamGroups(counter, groups);
  return min(wanted, groups << 3);
}

/** Bytes from one 16-byte part of a block to the next, in what `keystream` made for `wanted` blocks. */
@inline
function stepOf(wanted: usize): usize {
  return wanted <= 4 ? 16 : 128;
}

/** XORs blocks `first` to `count` - 1 of the keystream into at most `len` bytes. Returns how many. */
function apply(step: usize, first: usize, count: usize, src: usize, dst: usize, len: usize): usize {
  const base = work() + GROUPS;
  let i: usize = 0;
  for (let block = first; block < count && i < len; block++) {
    const stream = base + (step == 16 ? block << 6 : ((block >> 3) << 9) + ((block & 3) << 5) + ((block & 4) << 2));
    const from = src + i;
    const to = dst + i;
    if (len - i < 64) {
      applyTail(stream, step, from, to, len - i);
      return len;
    }
    const s0 = v128.load(stream), s1 = v128.load(stream + step);
    const s2 = v128.load(stream + 2 * step), s3 = v128.load(stream + 3 * step);
    const c0 = v128.xor(v128.load(from), s0), c1 = v128.xor(v128.load(from, 16), s1);
    const c2 = v128.xor(v128.load(from, 32), s2), c3 = v128.xor(v128.load(from, 48), s3);
    v128.store(to, c1, 16);
    v128.store(to, c0);
    v128.store(to, c3, 48);
    v128.store(to, c2, 32);
    i += 64;
  }
  return i;
}

/** The last block, of less than 64 bytes. */
function applyTail(stream: usize, step: usize, src: usize, dst: usize, len: usize): void {
  let left = len;
  for (; left >= 16; left -= 16) {
    v128.store(dst, v128.xor(v128.load(src), v128.load(stream)));
    src += 16;
    dst += 16;
    stream += step;
  }
  if (left & 8) {
    store<u64>(dst, load<u64>(src) ^ load<u64>(stream));
    src += 8;
    dst += 8;
    stream += 8;
  }
  if (left & 4) {
    store<u32>(dst, load<u32>(src) ^ load<u32>(stream));
    src += 4;
    dst += 4;
    stream += 4;
  }
  for (let i: usize = 0; i < (left & 3); i++) store<u8>(dst + i, load<u8>(src + i) ^ load<u8>(stream + i));
}

/** First keystream of a packet; its block 0 keys Poly1305 (RFC 8439 §2.6). Returns the blocks made. */
@inline
function begin(key: usize, ctrLo: u32, ctrHi: u32, blocks: usize): usize {
  prepare(key, ctrLo, ctrHi);
  const made = keystream(0, blocks);
  const w = work();
  v128.store(w + MAC_KEY, v128.load(w + GROUPS));
  v128.store(w + MAC_KEY, v128.load(w + GROUPS + stepOf(blocks)), 16);
  return made;
}

/** XORs the whole packet, of which `made` blocks of keystream are ready. */
@inline
function encrypt(made: usize, blocks: usize, src: usize, dst: usize, len: usize): void {
  let done = apply(stepOf(blocks), 1, made, src, dst, len);
  for (let counter = made; counter < blocks; ) {
    const wanted = blocks - counter;
    const more = keystream(<u32>counter, wanted);
    done += apply(stepOf(wanted), 0, more, src + done, dst + done, len - done);
    counter += more;
  }
}

@inline
function blocksFor(len: usize): usize {
  return 1 + ((len + 63) >> 6);
}

/** Writes `len` bytes of ciphertext and the 16 bytes of the tag to `dst`; `src` and `dst` are equal or disjoint. */
export function seal(key: usize, ctrLo: u32, ctrHi: u32, src: usize, dst: usize, len: usize): void {
  if (foreign) {
    foreignSeal(key, ctrLo, ctrHi, src, dst, len);
    return;
  }
  const blocks = blocksFor(len);
  const made = begin(key, ctrLo, ctrHi, blocks);
  encrypt(made, blocks, src, dst, len);
  authenticate(work() + MAC_KEY, dst, len, dst + len);
}

/** 0 and the plaintext at `dst`, or -1 and nothing written. `src` holds `len` bytes and the tag. */
export function open(key: usize, ctrLo: u32, ctrHi: u32, src: usize, dst: usize, len: usize): i32 {
  if (foreign) return foreignOpen(key, ctrLo, ctrHi, src, dst, len);
  const blocks = blocksFor(len);
  const made = begin(key, ctrLo, ctrHi, blocks);
  const tag = work() + TAG;
  authenticate(work() + MAC_KEY, src, len, tag);
  const difference = (load<u64>(tag) ^ load<u64>(src + len)) | (load<u64>(tag, 8) ^ load<u64>(src + len, 8));
  if (difference != 0) return -1;
  encrypt(made, blocks, src, dst, len);
  return 0;
}
