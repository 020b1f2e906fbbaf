/**
 * Keys in hexadecimal, from and to bytes, without a string in between: a string cannot be wiped.
 * Source: wireguard.com/xplatform (keys are lower-case hexadecimal of 64 digits).
 * @module
 */
import { KEY_SIZE } from './constants.ts';
import { secretBytes } from './primitives.ts';

export const HEX_KEY_SIZE = 2 * KEY_SIZE;

function digit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

/** Exactly 64 ASCII digits, or null. */
export function parseHexKey(text: Uint8Array): Uint8Array | null {
  if (text.length !== HEX_KEY_SIZE) return null;
  const key = secretBytes(KEY_SIZE);
  let wrong = 0;
  for (let i = 0; i < KEY_SIZE; i++) {
    const high = digit(text[2 * i] ?? 0);
    const low = digit(text[2 * i + 1] ?? 0);
    wrong |= high | low;
    key[i] = (high << 4) | low;
  }
  // A wrong digit is -1, so any of them leaves the sign set.
  return wrong < 0 ? null : key;
}

/** Writes 64 digits at `offset`. */
export function writeHexKey(target: Uint8Array, offset: number, key: Uint8Array): void {
  for (let i = 0; i < KEY_SIZE; i++) {
    const byte = key[i] ?? 0;
    const high = byte >> 4;
    const low = byte & 15;
    target[offset + 2 * i] = high + (high < 10 ? 0x30 : 0x57);
    target[offset + 2 * i + 1] = low + (low < 10 ? 0x30 : 0x57);
  }
}
