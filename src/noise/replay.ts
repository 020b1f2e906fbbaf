/**
 * The anti-replay window of one keypair: accepts each counter once, and none older than the window.
 * Source: WireGuard paper §5.4.6; RFC 6479 §3 (a ring of words, nothing is ever shifted); sizes of the kernel's
 * messages.h (COUNTER_BITS_TOTAL 8192, COUNTER_WINDOW_SIZE 8128).
 *
 * It lives in memory of the caller's, so that keypairs can lie in one slab, and a counter is two u32 halves: a double
 * is exact only up to 2^53 and a BigInt allocates.
 *
 *     word   0       1       2   3     4                                         259
 *          | high  | low   | unused  | bit i of word 4 + w: counter 32·w + i, w modulo 256 |
 *            highest accepted
 * @module
 */
import { REJECT_AFTER_MESSAGES_HIGH, REJECT_AFTER_MESSAGES_LOW } from './constants.ts';

const HIGH = 0;
const LOW = 1;
const RING = 4;
const RING_WORDS = 256;
const RING_MASK = RING_WORDS - 1;
/** One 64-bit block less than the ring's 8192 bits: the gap that is cleared while the window moves on. */
export const REPLAY_WINDOW = 8128;
/** u32 words a window takes. */
export const REPLAY_WORDS: number = RING + RING_WORDS;

/** Forgets everything: the next counter may be any below the limit. */
export function resetReplay(words: Uint32Array, at: number): void {
  words.fill(0, at, at + REPLAY_WORDS);
}

/**
 * Checks the counter and marks it as seen; false for a duplicate, one that is too old, or one at or beyond
 * REJECT_AFTER_MESSAGES. Call it only after the packet's tag held: it believes the counter.
 */
export function acceptCounter(words: Uint32Array, at: number, high: number, low: number): boolean {
  if (high === REJECT_AFTER_MESSAGES_HIGH && low >= REJECT_AFTER_MESSAGES_LOW) return false;
  const lastHigh = words[at + HIGH] as number;
  const lastLow = words[at + LOW] as number;
  if (high > lastHigh || (high === lastHigh && low > lastLow)) {
    // Words between the two ends belong to counters of a lap ago. Two highs apart is more than a lap; below that the
    // difference of word numbers is exact in a double.
    const ahead =
      high - lastHigh > 1 ? RING_WORDS : (high - lastHigh) * 0x800_0000 + (low >>> 5) - (lastLow >>> 5);
    const clear = Math.min(ahead, RING_WORDS);
    const first = (lastLow >>> 5) + 1;
    for (let i = 0; i < clear; i += 1) words[at + RING + ((first + i) & RING_MASK)] = 0;
    words[at + HIGH] = high;
    words[at + LOW] = low;
  } else if (lastHigh - high > 1 || (lastHigh - high) * 0x1_0000_0000 + lastLow - low > REPLAY_WINDOW) {
    return false;
  }
  const word = at + RING + ((low >>> 5) & RING_MASK);
  const bit = 1 << (low & 31);
  const seen = words[word] as number;
  if ((seen & bit) !== 0) return false;
  words[word] = seen | bit;
  return true;
}
