/**
 * The seam of the packet cipher: ChaCha20-Poly1305 in place, with the counter as two u32 halves and no additional data.
 * Source: WireGuard paper §5.4.6 (Aead with the 64-bit counter); RFC 8439 §2.8.
 * @module
 */
import { chacha20poly1305 } from '@noble/ciphers/chacha.js';
import { TAG_SIZE } from './constants.ts';

/** What seals and opens packets; noble does without one. */
export interface TransportCipher {
  /** Encrypts `length` bytes at `offset` where they lie, and writes the 16-byte tag behind them. */
  seal(key: Uint8Array, high: number, low: number, bytes: Uint8Array, offset: number, length: number): void;
  /**
   * Checks the tag that ends the `length` bytes at `offset`, then decrypts those before it where they lie. False, with
   * nothing of the plaintext written, when it does not hold.
   */
  open(
    key: Uint8Array,
    high: number,
    low: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): boolean;
}

/** The reference: audited, and slow beside a kernel. */
export const nobleTransportCipher: TransportCipher = {
  seal(key, high, low, bytes, offset, length) {
    const plaintext = bytes.subarray(offset, offset + length);
    bytes.set(chacha20poly1305(key, nonceOf(high, low)).encrypt(plaintext), offset);
  },

  open(key, high, low, bytes, offset, length) {
    if (length < TAG_SIZE) return false;
    const sealed = bytes.subarray(offset, offset + length);
    // noble says "wrong tag" by throwing; for us that is an answer, not a fault.
    try {
      bytes.set(chacha20poly1305(key, nonceOf(high, low)).decrypt(sealed), offset);
      return true;
    } catch {
      return false;
    }
  },
};

/** Four zero bytes, then the counter, little endian. */
function nonceOf(high: number, low: number): Uint8Array {
  const nonce = new Uint8Array(12);
  const view = new DataView(nonce.buffer);
  view.setUint32(4, low, true);
  view.setUint32(8, high, true);
  return nonce;
}
