/**
 * X25519, BLAKE2s and HMAC by calls into OpenSSL. node:crypto builds an object or two for each: for X25519 that costs
 * three times the multiplication itself (95 µs where this takes 25), and of a handshake's hundred hashes the garbage
 * collector has as much work as the hash.
 * Source: RFC 7748, RFC 7693, RFC 2104 §2.
 * @module
 */
import { addressOf } from '../linux/libc.ts';
import { findOpenssl, type Openssl } from '../linux/openssl.ts';
import { KEY_SIZE } from '../noise/constants.ts';
import type { Primitives } from '../noise/primitives.ts';

export type FastPrimitives = Pick<Primitives, 'dh' | 'publicKey' | 'hash' | 'hmac'>;

const HASH_SIZE = 32;
/** RFC 7693 §2.1: the block of BLAKE2s, which HMAC pads its key to. */
const BLOCK = 64;
const SCRATCH = 4096;
/** Where results are left. */
const OUT = SCRATCH - HASH_SIZE;
/** HMAC's inner hash, and the padded key before what is hashed. */
const INNER = BLOCK;

/** RFC 7748 §5.2, the first vector; RFC 7693 Appendix B. */
const SCALAR = 'a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4';
const POINT = 'e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c';
const PRODUCT = 'c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552';
const HASH_OF_ABC = '508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982';

const unhex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'));

/** Everything goes in and out by one buffer that does not move, and in which nothing stays. */
class Scratch {
  readonly #openssl: Openssl;
  readonly #fallback: FastPrimitives;
  /** Longer than what V8 keeps in its own heap, where it could move. */
  readonly #bytes = new Uint8Array(SCRATCH);
  readonly #address: number;

  constructor(openssl: Openssl, fallback: FastPrimitives) {
    this.#openssl = openssl;
    this.#fallback = fallback;
    this.#address = addressOf(this.#bytes);
  }

  /** A copy of the result; wipes `used` bytes and the result. */
  #take(used: number): Uint8Array {
    const result = this.#bytes.slice(OUT, SCRATCH);
    this.#wipe(used);
    return result;
  }

  #wipe(used: number): void {
    this.#bytes.fill(0, 0, used);
    this.#bytes.fill(0, OUT);
  }

  dh(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array | null {
    const address = this.#address;
    this.#bytes.set(privateKey, 0);
    this.#bytes.set(publicKey, KEY_SIZE);
    if (this.#openssl.x25519(address + OUT, address, address + KEY_SIZE) === 1)
      return this.#take(2 * KEY_SIZE);
    this.#wipe(2 * KEY_SIZE);
    return null;
  }

  publicKey(privateKey: Uint8Array): Uint8Array {
    this.#bytes.set(privateKey, 0);
    this.#openssl.x25519Public(this.#address + OUT, this.#address);
    return this.#take(KEY_SIZE);
  }

  /** Puts the parts one after the other at `at`; the end of them, or -1 when there is no room. */
  #gather(at: number, parts: readonly Uint8Array[]): number {
    let end = at;
    for (const part of parts) {
      if (end + part.length > OUT) return -1;
      this.#bytes.set(part, end);
      end += part.length;
    }
    return end;
  }

  hash(...parts: readonly Uint8Array[]): Uint8Array {
    const end = this.#gather(0, parts);
    if (end < 0 || this.#openssl.blake2s(this.#address, end, this.#address + OUT) !== 1) {
      return this.#fallback.hash(...parts);
    }
    return this.#take(end);
  }

  /** H(key ⊕ opad ‖ H(key ⊕ ipad ‖ parts)). */
  hmac(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
    const bytes = this.#bytes;
    const address = this.#address;
    const end = key.length > BLOCK ? -1 : this.#gather(BLOCK, parts);
    if (end < 0) return this.#fallback.hmac(key, ...parts);
    bytes.fill(0, 0, BLOCK);
    bytes.set(key, 0);
    for (let i = 0; i < BLOCK; i += 1) bytes[i] = (bytes[i] as number) ^ 0x36;
    if (this.#openssl.blake2s(address, end, address + OUT) !== 1) return this.#fallback.hmac(key, ...parts);
    for (let i = 0; i < BLOCK; i += 1) bytes[i] = (bytes[i] as number) ^ (0x36 ^ 0x5c);
    bytes.copyWithin(INNER, OUT, SCRATCH);
    if (this.#openssl.blake2s(address, INNER + HASH_SIZE, address + OUT) !== 1) {
      return this.#fallback.hmac(key, ...parts);
    }
    return this.#take(Math.max(end, INNER + HASH_SIZE));
  }
}

/** undefined when this Node has no such functions, or they do not answer as they should. `fallback` takes what is long. */
export function opensslPrimitives(fallback: FastPrimitives): FastPrimitives | undefined {
  const openssl = findOpenssl();
  if (openssl === undefined) return undefined;
  const scratch = new Scratch(openssl, fallback);
  const base = new Uint8Array(KEY_SIZE);
  base[0] = 9;
  const scalar = unhex(SCALAR);
  const own = scratch.dh(scalar, base);
  const isSound =
    Buffer.from(scratch.dh(scalar, unhex(POINT)) ?? []).equals(unhex(PRODUCT)) &&
    Buffer.from(own ?? []).equals(scratch.publicKey(scalar)) &&
    scratch.dh(scalar, new Uint8Array(KEY_SIZE)) === null &&
    Buffer.from(scratch.hash(unhex('61'), unhex('6263'))).equals(unhex(HASH_OF_ABC));
  if (!isSound) return undefined;
  return {
    dh: (privateKey, publicKey) => scratch.dh(privateKey, publicKey),
    publicKey: (privateKey) => scratch.publicKey(privateKey),
    hash: (...parts) => scratch.hash(...parts),
    hmac: (key, ...parts) => scratch.hmac(key, ...parts),
  };
}
