/**
 * X25519 by calls into OpenSSL. node:crypto builds two key objects for each, which costs three times the multiplication
 * itself (95 µs where this takes 25).
 * Source: RFC 7748.
 * @module
 */
import { addressOf } from '../linux/libc.ts';
import { findOpenssl, type Openssl } from '../linux/openssl.ts';
import { KEY_SIZE } from '../noise/constants.ts';
import type { Primitives } from '../noise/primitives.ts';

export type CurvePrimitives = Pick<Primitives, 'dh' | 'publicKey'>;

/** Private key, public key, result. */
const SIZE = 3 * KEY_SIZE;
const OUT = 2 * KEY_SIZE;

/** RFC 7748 §5.2, the first vector. */
const SCALAR = 'a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4';
const POINT = 'e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c';
const PRODUCT = 'c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552';

const unhex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'));

/** Everything goes in and out by one buffer that does not move, and in which nothing stays. */
class Scratch {
  readonly #openssl: Openssl;
  /** Longer than what V8 keeps in its own heap, where it could move. */
  readonly #bytes = new Uint8Array(SIZE);
  readonly #address: number;

  constructor(openssl: Openssl) {
    this.#openssl = openssl;
    this.#address = addressOf(this.#bytes);
  }

  dh(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array | null {
    const address = this.#address;
    this.#bytes.set(privateKey, 0);
    this.#bytes.set(publicKey, KEY_SIZE);
    const isGood = this.#openssl.x25519(address + OUT, address, address + KEY_SIZE) === 1;
    const secret = isGood ? this.#bytes.slice(OUT) : null;
    this.#bytes.fill(0);
    return secret;
  }

  publicKey(privateKey: Uint8Array): Uint8Array {
    this.#bytes.set(privateKey, 0);
    this.#openssl.x25519Public(this.#address + OUT, this.#address);
    const publicKey = this.#bytes.slice(OUT);
    this.#bytes.fill(0);
    return publicKey;
  }
}

/** undefined when this Node has no such functions, or they do not answer as they should. */
export function opensslPrimitives(): CurvePrimitives | undefined {
  const openssl = findOpenssl();
  if (openssl === undefined) return undefined;
  const scratch = new Scratch(openssl);
  const base = new Uint8Array(KEY_SIZE);
  base[0] = 9;
  const scalar = unhex(SCALAR);
  const own = scratch.dh(scalar, base);
  const isSound =
    Buffer.from(scratch.dh(scalar, unhex(POINT)) ?? []).equals(unhex(PRODUCT)) &&
    Buffer.from(own ?? []).equals(scratch.publicKey(scalar)) &&
    scratch.dh(scalar, new Uint8Array(KEY_SIZE)) === null;
  if (!isSound) return undefined;
  return {
    dh: (privateKey, publicKey) => scratch.dh(privateKey, publicKey),
    publicKey: (privateKey) => scratch.publicKey(privateKey),
  };
}
