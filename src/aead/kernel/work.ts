/**
 * The cipher's working memory: everything here is overwritten packet by packet, and `wipe` forgets it.
 *
 * V8 joins two 128-bit chains into 256-bit code when they start and end in adjacent halves of 32 bytes, addressed as one
 * base with two immediate offsets. The base must not be a constant: the optimizers would fold the offsets into it, and V8
 * then takes the upper half's address for the pair (wasm-revec-reducer.h uses the index of whichever store it meets
 * first). Hence the address is kept in memory, and the halves are stored upper first, which saves a third store.
 * @module
 */

/** ChaCha20: initial state, 32 bytes a word; word 12 of three groups; three groups of eight blocks. */
export const INITIAL: usize = 0;
export const COUNTERS: usize = 512;
export const GROUPS: usize = 640;
export const GROUP: usize = 512;

/** Poly1305: accumulator, last multipliers, r^4 and r^8, the group that ends the message, powers in the making. */
export const H: usize = 2176;
export const LAST: usize = 2368;
export const LAST_WRAPPED: usize = 2560;
export const R4: usize = 2752;
export const R8: usize = 2880;
export const EDGE: usize = 3008;
export const POWER1: usize = 3072;
export const POWER2: usize = 3264;
export const POWER21: usize = 3456;
export const POWER43: usize = 3648;
export const POWER8: usize = 3840;

/** One packet: the one-time key of Poly1305, the tag computed, the end of the keystream. */
export const MAC_KEY: usize = 4032;
export const TAG: usize = 4064;
export const TAIL: usize = 4096;

/** BLAKE2s: chaining value, a block of its own, a result to compare, HMAC's inner hash. */
export const MAC_STATE: usize = 4160;
export const MAC_BLOCK: usize = 4192;
export const MAC_OUT: usize = 4256;
export const MAC_INNER: usize = 4272;
export const MAC_END: usize = 4304;

/** A cookie reply: its derived key; mac1 and ciphertext side by side. */
export const COOKIE_KEY: usize = 4304;
export const COOKIE_PARTS: usize = 4336;
const SIZE: usize = 4384;

const MEMORY: usize = memory.data(4384, 64);
const ADDRESS: usize = memory.data(8, 8);
store<usize>(ADDRESS, MEMORY);

@inline
export function work(): usize {
  return load<usize>(ADDRESS);
}

/** Forgets keys, keystream and authenticator of the last packets. */
export function wipe(): void {
  memory.fill(MEMORY, 0, SIZE);
}
