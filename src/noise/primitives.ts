/**
 * The seam between the protocol and its cryptography: what WireGuard needs, and nothing else.
 * Source: WireGuard paper §5.4 (the functions Dh, Dh-Generate, Aead, Xaead, Hash, Mac, Hmac).
 * noble.ts is the complete implementation; src/device/native-primitives.ts replaces what OpenSSL does faster.
 * @module
 */
import { KEY_SIZE } from './constants.ts';

/** An X25519 key pair, 32 bytes each. */
export interface KeyPair {
  readonly privateKey: Uint8Array;
  readonly publicKey: Uint8Array;
}

/** What has to be brought along for handshakes; `noblePrimitives` makes a whole one. */
export interface Primitives {
  /** Dh-Generate(): a fresh, clamped X25519 key pair. */
  generateKeypair(): KeyPair;
  publicKey(privateKey: Uint8Array): Uint8Array;
  /** Dh(private, public); null when the result is all zero, that is for a low-order public key. */
  dh(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array | null;
  /** Hash(part ‖ …): BLAKE2s, 32 bytes. */
  hash(...parts: readonly Uint8Array[]): Uint8Array;
  /** Mac(key, part ‖ …): keyed BLAKE2s, 16 bytes. */
  mac(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array;
  /** Hmac(key, part ‖ …): RFC 2104 over BLAKE2s, 32 bytes. */
  hmac(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array;
  /** Aead(key, counter, plaintext, aad): ChaCha20-Poly1305, nonce = four zero bytes and the little-endian counter. */
  aeadSeal(key: Uint8Array, counter: number, plaintext: Uint8Array, aad: Uint8Array): Uint8Array;
  /** The plaintext, or null when the tag does not hold. */
  aeadOpen(key: Uint8Array, counter: number, sealed: Uint8Array, aad: Uint8Array): Uint8Array | null;
  /** Xaead(key, nonce, plaintext, aad): XChaCha20-Poly1305 with a random 24-byte nonce. */
  xaeadSeal(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array, aad: Uint8Array): Uint8Array;
  xaeadOpen(key: Uint8Array, nonce: Uint8Array, sealed: Uint8Array, aad: Uint8Array): Uint8Array | null;
  randomBytes(length: number): Uint8Array;
  /** Compares in a time that depends on the lengths only. */
  equal(a: Uint8Array, b: Uint8Array): boolean;
}

/**
 * Room for a secret that lives longer than a call. Engines keep short arrays in their own heap, where the garbage
 * collector moves them and leaves the old place as it was; a buffer of its own stays where it is and can be wiped.
 */
export function secretBytes(length: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new ArrayBuffer(length));
}

export function secretCopy(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const copy = secretBytes(bytes.length);
  copy.set(bytes);
  return copy;
}

/** RFC 7748 §5: decodeScalar25519, on a copy. */
export function clampPrivateKey(key: Uint8Array): Uint8Array {
  const clamped = secretCopy(key);
  clamped[0] = (clamped[0] ?? 0) & 248;
  clamped[31] = ((clamped[31] ?? 0) & 127) | 64;
  return clamped;
}

/** The 12-byte nonce of a counter: RFC 8439 §2.3 as the paper §5.4.6 uses it. */
export function counterNonce(counter: number): Uint8Array {
  const nonce = new Uint8Array(12);
  const view = new DataView(nonce.buffer);
  view.setUint32(4, counter >>> 0, true);
  view.setUint32(8, Math.floor(counter / 0x1_0000_0000), true);
  return nonce;
}

/** True for a key of zeros, which means "no key"; looks at every byte. */
export function isZero(bytes: Uint8Array): boolean {
  let any = 0;
  for (const byte of bytes) any |= byte;
  return any === 0;
}

/** Overwrites secrets. The engine may have copied them before; this is the best a script can do. */
export function wipe(...buffers: readonly (Uint8Array | null | undefined)[]): void {
  for (const buffer of buffers) buffer?.fill(0);
}

/** Compares without an early exit. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= (a[i] ?? 0) ^ (b[i] ?? 0);
  return difference === 0;
}

/** A preshared key that is not set counts as zeros. Paper §5.4.3. */
export const NO_PRESHARED_KEY: Uint8Array = new Uint8Array(KEY_SIZE);
