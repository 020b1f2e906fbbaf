/**
 * The primitives as a device uses them: X25519 by OpenSSL, in 25 µs where a script takes 0.8 ms; hashes and the fields of
 * handshake messages by the WASM kernel. Where one of these is missing there is node:crypto, or noble.
 * Source: RFC 8410 §7 and §10 (DER of X25519 keys), RFC 7748, RFC 7693, RFC 8439.
 * @module
 */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  type KeyObject,
  randomFillSync,
  timingSafeEqual,
} from 'node:crypto';
import { KEY_SIZE, TAG_SIZE } from '../noise/constants.ts';
import { noblePrimitives } from '../noise/noble.ts';
import { clampPrivateKey, counterNonce, isZero, type Primitives, wipe } from '../noise/primitives.ts';
import { type KernelPrimitives, kernelPrimitives } from './kernel-primitives.ts';
import { type CurvePrimitives, opensslPrimitives } from './openssl-primitives.ts';

// RFC 8410 §4: SubjectPublicKeyInfo of an X25519 key, up to the 32 bytes of the key itself.
const SPKI_PREFIX = Uint8Array.of(0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x03, 0x21, 0x00);
// RFC 8410 §7: OneAsymmetricKey (PKCS#8) of an X25519 key, up to the 32 bytes of the key itself.
const PKCS8_PREFIX = Uint8Array.of(
  ...[0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x04, 0x22, 0x04, 0x20],
);

/** Setting up a cipher of node:crypto takes 11 µs; @noble seals a handshake's fields in 5. */
const SHORT = 128;

/** RFC 7693 §2.1: the block of BLAKE2s, which HMAC pads its key to. */
const BLAKE2S_BLOCK = 64;

/** What draws nothing from chance. */
const noble = noblePrimitives(secureRandomBytes);

/** One scratch for the DER of private keys, wiped after each use. */
const pkcs8 = Buffer.alloc(PKCS8_PREFIX.length + KEY_SIZE);
const spki = Buffer.alloc(SPKI_PREFIX.length + KEY_SIZE);
spki.set(SPKI_PREFIX);

function privateKeyObject(privateKey: Uint8Array): KeyObject {
  pkcs8.set(PKCS8_PREFIX);
  pkcs8.set(privateKey, PKCS8_PREFIX.length);
  try {
    return createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' });
  } finally {
    pkcs8.fill(0);
  }
}

function publicKeyObject(publicKey: Uint8Array): KeyObject {
  spki.set(publicKey, SPKI_PREFIX.length);
  return createPublicKey({ key: spki, format: 'der', type: 'spki' });
}

function publicKeyByObjects(privateKey: Uint8Array): Uint8Array {
  const der = createPublicKey(privateKeyObject(privateKey)).export({ format: 'der', type: 'spki' });
  return Uint8Array.from(der.subarray(SPKI_PREFIX.length));
}

function dhByObjects(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array | null {
  // OpenSSL refuses a low-order point with ERR_OSSL_FAILED_DURING_DERIVATION; that is the answer, not a fault.
  try {
    const secret = diffieHellman({
      privateKey: privateKeyObject(privateKey),
      publicKey: publicKeyObject(publicKey),
    });
    return isZero(secret) ? null : plain(secret);
  } catch {
    return null;
  }
}

/** A plain view: a Buffer would bring its own slice() and, cloned to another thread, the pool behind it. */
function plain(buffer: Buffer): Uint8Array {
  if (buffer.buffer.byteLength !== buffer.length) return Uint8Array.from(buffer);
  return new Uint8Array(buffer.buffer);
}

function hash(...parts: readonly Uint8Array[]): Uint8Array {
  const state = createHash('blake2s256');
  for (const part of parts) state.update(part);
  return plain(state.digest());
}

function aeadSeal(key: Uint8Array, counter: number, plaintext: Uint8Array, aad: Uint8Array): Uint8Array {
  if (plaintext.length < SHORT) return noble.aeadSeal(key, counter, plaintext, aad);
  const cipher = createCipheriv('chacha20-poly1305', key, counterNonce(counter), {
    authTagLength: TAG_SIZE,
  });
  cipher.setAAD(aad, { plaintextLength: plaintext.length });
  const sealed = new Uint8Array(plaintext.length + TAG_SIZE);
  sealed.set(cipher.update(plaintext));
  cipher.final();
  sealed.set(cipher.getAuthTag(), plaintext.length);
  return sealed;
}

function aeadOpen(key: Uint8Array, counter: number, sealed: Uint8Array, aad: Uint8Array): Uint8Array | null {
  const length = sealed.length - TAG_SIZE;
  if (length < SHORT) return noble.aeadOpen(key, counter, sealed, aad);
  const cipher = createDecipheriv('chacha20-poly1305', key, counterNonce(counter), {
    authTagLength: TAG_SIZE,
  });
  cipher.setAAD(aad, { plaintextLength: length });
  cipher.setAuthTag(sealed.subarray(length));
  const plaintext = cipher.update(sealed.subarray(0, length));
  try {
    cipher.final();
  } catch {
    // RFC 8439 §2.8: nothing of an unauthenticated plaintext leaves this function.
    plaintext.fill(0);
    return null;
  }
  return plain(plaintext);
}

/** RFC 2104 §2 by hand: createHmac takes 10 µs for what two hashes do in 5, and a handshake makes twenty on each side. */
function hmac(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  const pad = new Uint8Array(BLAKE2S_BLOCK);
  pad.set(key.length > BLAKE2S_BLOCK ? hash(key) : key);
  for (let i = 0; i < BLAKE2S_BLOCK; i++) pad[i] = (pad[i] ?? 0) ^ 0x36;
  const inner = hash(pad, ...parts);
  for (let i = 0; i < BLAKE2S_BLOCK; i++) pad[i] = (pad[i] ?? 0) ^ (0x36 ^ 0x5c);
  const outer = hash(pad, inner);
  wipe(pad, inner);
  return outer;
}

/** node:crypto's own, for a Node whose OpenSSL cannot be called directly, and without a kernel. */
export const objectPrimitives: CurvePrimitives & KernelPrimitives = {
  dh: dhByObjects,
  publicKey: publicKeyByObjects,
  hash,
  hmac,
  mac: noble.mac,
  aeadSeal,
  aeadOpen,
};

let fast: (CurvePrimitives & KernelPrimitives) | undefined;

/** Looked for once a thread. */
function fastPrimitives(): CurvePrimitives & KernelPrimitives {
  fast ??= { ...objectPrimitives, ...opensslPrimitives(), ...kernelPrimitives(objectPrimitives) };
  return fast;
}

export function secureRandomBytes(length: number): Uint8Array {
  return randomFillSync(new Uint8Array(length));
}

/** Random bytes come from the operating system unless a test brings its own. */
export function nativePrimitives(
  randomBytes: (length: number) => Uint8Array = secureRandomBytes,
): Primitives {
  const { publicKey, ...rest } = fastPrimitives();
  return {
    ...rest,
    publicKey,

    generateKeypair() {
      const random = randomBytes(KEY_SIZE);
      const privateKey = clampPrivateKey(random);
      wipe(random);
      return { privateKey, publicKey: publicKey(privateKey) };
    },

    xaeadSeal: noble.xaeadSeal,
    xaeadOpen: noble.xaeadOpen,
    randomBytes,
    equal: (a, b) => a.length === b.length && timingSafeEqual(a, b),
  };
}
