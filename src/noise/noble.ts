/**
 * All primitives on the audited @noble libraries: the reference every faster implementation is held against.
 * Source: RFC 7748 (X25519), RFC 7693 (BLAKE2s), RFC 8439 (ChaCha20-Poly1305), draft-irtf-cfrg-xchacha-03.
 * @module
 */
import { chacha20poly1305, xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import { x25519 } from '@noble/curves/ed25519.js';
import { blake2s } from '@noble/hashes/blake2.js';
import { hmac } from '@noble/hashes/hmac.js';
import { KEY_SIZE, MAC_SIZE, TAG_SIZE } from './constants.ts';
import { clampPrivateKey, counterNonce, equalBytes, isZero, type Primitives, wipe } from './primitives.ts';

/** `randomBytes` must come from the operating system's generator, except in tests. */
export function noblePrimitives(randomBytes: (length: number) => Uint8Array): Primitives {
  return {
    generateKeypair() {
      const random = randomBytes(KEY_SIZE);
      const privateKey = clampPrivateKey(random);
      wipe(random);
      return { privateKey, publicKey: x25519.getPublicKey(privateKey) };
    },

    publicKey: (privateKey) => x25519.getPublicKey(privateKey),

    dh(privateKey, publicKey) {
      // RFC 7748 §6.1: noble refuses an all-zero result by throwing; for us that is an answer, not a fault.
      try {
        const secret = x25519.getSharedSecret(privateKey, publicKey);
        return isZero(secret) ? null : secret;
      } catch {
        return null;
      }
    },

    hash(...parts) {
      const state = blake2s.create();
      for (const part of parts) state.update(part);
      return state.digest();
    },

    mac(key, ...parts) {
      const state = blake2s.create({ key, dkLen: MAC_SIZE });
      for (const part of parts) state.update(part);
      return state.digest();
    },

    hmac(key, ...parts) {
      const state = hmac.create(blake2s, key);
      for (const part of parts) state.update(part);
      return state.digest();
    },

    aeadSeal: (key, counter, plaintext, aad) =>
      chacha20poly1305(key, counterNonce(counter), aad).encrypt(plaintext),

    aeadOpen(key, counter, sealed, aad) {
      if (sealed.length < TAG_SIZE) return null;
      try {
        return chacha20poly1305(key, counterNonce(counter), aad).decrypt(sealed);
      } catch {
        return null;
      }
    },

    xaeadSeal: (key, nonce, plaintext, aad) => xchacha20poly1305(key, nonce, aad).encrypt(plaintext),

    xaeadOpen(key, nonce, sealed, aad) {
      if (sealed.length < TAG_SIZE) return null;
      try {
        return xchacha20poly1305(key, nonce, aad).decrypt(sealed);
      } catch {
        return null;
      }
    },

    randomBytes,
    equal: equalBytes,
  };
}
