/**
 * XChaCha20-Poly1305 of a cookie: 16 bytes sealed with the 16 bytes of a mac1 as additional data.
 * Spec: draft-irtf-cfrg-xchacha-03 §2.2 (HChaCha20), §2.3; WireGuard paper §5.4.7.
 * @module
 */
import { prepare, rotate12, rotate7 } from './chacha20';
import { keystream4, shuffle16, shuffle8 } from './chacha20-four';
import { authenticateWith } from './poly1305';
import { COOKIE_PARTS, COOKIE_KEY, GROUPS, MAC_KEY, work } from './work';

// @ts-ignore: decorator
@external('env', 'foreignSealCookie')
declare function foreignSealCookie(key: usize, nonce: usize, cookie: usize, mac1: usize, out: usize): void;

const PART: usize = 16;

let foreign = false;

/** True: the imported function computes. */
export function selectCookie(toForeign: bool): void {
  foreign = toForeign;
}

/** HChaCha20: a key of 32 bytes for the last 8 bytes of the nonce, from key and its first 16. */
function derive(key: usize, nonce: usize, out: usize): void {
  let a = i32x4(0x61707865, 0x3320646e, 0x79622d32, 0x6b206574);
  let b = v128.load(key);
  let c = v128.load(key, 16);
  let d = v128.load(nonce);
  for (let i = 0; i < 10; i++) {
    a = i32x4.add(a, b); d = shuffle16(v128.xor(d, a));
    c = i32x4.add(c, d); b = rotate12(v128.xor(b, c));
    a = i32x4.add(a, b); d = shuffle8(v128.xor(d, a));
    c = i32x4.add(c, d); b = rotate7(v128.xor(b, c));
    b = i32x4.shuffle(b, b, 1, 2, 3, 0);
    c = i32x4.shuffle(c, c, 2, 3, 0, 1);
    d = i32x4.shuffle(d, d, 3, 0, 1, 2);
    a = i32x4.add(a, b); d = shuffle16(v128.xor(d, a));
    c = i32x4.add(c, d); b = rotate12(v128.xor(b, c));
    a = i32x4.add(a, b); d = shuffle8(v128.xor(d, a));
    c = i32x4.add(c, d); b = rotate7(v128.xor(b, c));
    b = i32x4.shuffle(b, b, 3, 0, 1, 2);
    c = i32x4.shuffle(c, c, 2, 3, 0, 1);
    d = i32x4.shuffle(d, d, 1, 2, 3, 0);
  }
  v128.store(out, a);
  v128.store(out, d, 16);
}

/** Writes the 16 sealed bytes of the cookie and the 16 of the tag to `out`. The nonce has 24 bytes. */
export function sealCookie(key: usize, nonce: usize, cookie: usize, mac1: usize, out: usize): void {
  if (foreign) {
    foreignSealCookie(key, nonce, cookie, mac1, out);
    return;
  }
  const w = work();
  const parts = w + COOKIE_PARTS;
  derive(key, nonce, w + COOKIE_KEY);
  prepare(w + COOKIE_KEY, load<u32>(nonce, 16), load<u32>(nonce, 20));
  keystream4(0, w + GROUPS);
  v128.store(w + MAC_KEY, v128.load(w + GROUPS));
  v128.store(w + MAC_KEY, v128.load(w + GROUPS, 16), 16);
  // RFC 8439 §2.8: block 1 of the stream encrypts; what is authenticated is mac1, the ciphertext and their lengths.
  v128.store(parts, v128.load(mac1));
  v128.store(parts, v128.xor(v128.load(cookie), v128.load(w + GROUPS, 64)), 16);
  v128.store(out, v128.load(parts, 16));
  authenticateWith(w + MAC_KEY, parts, PART, PART, out + PART);
}
