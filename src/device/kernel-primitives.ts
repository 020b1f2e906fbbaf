/**
 * BLAKE2s, HMAC, Mac and the fields of handshake messages by the WASM kernel, in a small memory of its own: a handshake
 * makes seventy short hashes, each of which costs a call into OpenSSL more than its own time.
 * Source: RFC 7693, RFC 2104 §2, RFC 8439 §2.8; WireGuard paper §5.4.
 * @module
 */
import { type HandshakeKernel, loadHandshakeKernel } from '../aead/kernel.ts';
import { KEY_SIZE, MAC_SIZE, TAG_SIZE } from '../noise/constants.ts';
import type { Primitives } from '../noise/primitives.ts';

export type KernelPrimitives = Pick<Primitives, 'hash' | 'mac' | 'hmac' | 'aeadSeal' | 'aeadOpen'>;

const HASH_SIZE = 32;
/** RFC 7693 §2.1: the longest key of HMAC, and what the kernel seals at most. */
const BLOCK = 64;
/** From the kernel's heap base on: result, key, a mac's state, and what is hashed or sealed. */
const OUT = 0;
const KEY = 64;
const STATE = 128;
const TEXT = 192;
const LONGEST = 8192;

/** RFC 7693 Appendix B; RFC 8439 §2.8.2's cipher is held by the unit tests and, on every start, by the data plane. */
const HASH_OF_ABC = '508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982';

class KernelScratch {
  readonly #kernel: HandshakeKernel;
  readonly #fallback: KernelPrimitives;
  readonly #base: number;
  readonly #bytes: Uint8Array;

  constructor(kernel: HandshakeKernel, memory: WebAssembly.Memory, fallback: KernelPrimitives) {
    this.#kernel = kernel;
    this.#fallback = fallback;
    this.#base = kernel.heapBase();
    this.#bytes = new Uint8Array(memory.buffer, this.#base);
  }

  /** Puts the parts one after the other; their length, or -1 when they are too long. */
  #gather(parts: readonly Uint8Array[]): number {
    let end = TEXT;
    for (const part of parts) {
      if (end + part.length > TEXT + LONGEST) return -1;
      this.#bytes.set(part, end);
      end += part.length;
    }
    return end - TEXT;
  }

  /** A copy in a buffer of its own; wipes it here, with the text and what else was in use. */
  #take(at: number, length: number, textLength: number, keyLength = 0): Uint8Array {
    const bytes = this.#bytes;
    const result = new Uint8Array(length);
    for (let i = 0; i < length; i += 1) result[i] = bytes[at + i] as number;
    bytes.fill(0, TEXT, TEXT + textLength);
    if (at === OUT) bytes.fill(0, OUT, OUT + HASH_SIZE);
    if (keyLength > 0) bytes.fill(0, KEY, KEY + keyLength);
    return result;
  }

  hash(...parts: readonly Uint8Array[]): Uint8Array {
    const length = this.#gather(parts);
    if (length < 0) return this.#fallback.hash(...parts);
    this.#kernel.hash(this.#base + TEXT, length, this.#base + OUT);
    return this.#take(OUT, HASH_SIZE, length);
  }

  hmac(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
    const length = key.length > BLOCK ? -1 : this.#gather(parts);
    if (length < 0) return this.#fallback.hmac(key, ...parts);
    const base = this.#base;
    this.#bytes.set(key, KEY);
    this.#kernel.hmac(base + KEY, key.length, base + TEXT, length, base + OUT);
    return this.#take(OUT, HASH_SIZE, length, key.length);
  }

  mac(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
    const isShort = key.length >= 1 && key.length <= KEY_SIZE;
    const length = isShort ? this.#gather(parts) : -1;
    if (length < 1) return this.#fallback.mac(key, ...parts);
    const base = this.#base;
    this.#bytes.set(key, KEY);
    this.#kernel.macBegin(base + KEY, key.length, base + STATE);
    this.#kernel.mac(base + STATE, base + TEXT, length, base + OUT);
    this.#bytes.fill(0, STATE, TEXT);
    return this.#take(OUT, MAC_SIZE, length, key.length);
  }

  seal(key: Uint8Array, counter: number, plaintext: Uint8Array, aad: Uint8Array): Uint8Array {
    const { length } = plaintext;
    if (counter !== 0 || length > BLOCK || aad.length !== HASH_SIZE) {
      return this.#fallback.aeadSeal(key, counter, plaintext, aad);
    }
    this.#gather([aad, plaintext]);
    this.#bytes.set(key, KEY);
    this.#kernel.sealField(this.#base + KEY, this.#base + TEXT, length);
    const sealed = length + TAG_SIZE;
    return this.#take(TEXT + HASH_SIZE, sealed, HASH_SIZE + sealed, KEY_SIZE);
  }

  open(key: Uint8Array, counter: number, sealed: Uint8Array, aad: Uint8Array): Uint8Array | null {
    const length = sealed.length - TAG_SIZE;
    if (counter !== 0 || length < 0 || length > BLOCK || aad.length !== HASH_SIZE) {
      return this.#fallback.aeadOpen(key, counter, sealed, aad);
    }
    this.#gather([aad, sealed]);
    this.#bytes.set(key, KEY);
    const holds = this.#kernel.openField(this.#base + KEY, this.#base + TEXT, length) === 0;
    const used = HASH_SIZE + sealed.length;
    const opened = this.#take(TEXT + HASH_SIZE, holds ? length : 0, used, KEY_SIZE);
    return holds ? opened : null;
  }
}

/** undefined when there is no kernel, or it does not answer as it should. `fallback` takes what is long. */
export function kernelPrimitives(fallback: KernelPrimitives): KernelPrimitives | undefined {
  let scratch: KernelScratch;
  try {
    const memory = new WebAssembly.Memory({ initial: 3, maximum: 3, shared: true });
    scratch = new KernelScratch(loadHandshakeKernel(memory), memory, fallback);
  } catch {
    return undefined;
  }
  const abc = new TextEncoder().encode('abc');
  const key = new Uint8Array(KEY_SIZE).fill(7);
  const sealed = fallback.aeadSeal(key, 0, abc, key);
  const isSound =
    Buffer.from(scratch.hash(abc)).toString('hex') === HASH_OF_ABC &&
    Buffer.from(scratch.hmac(key, abc)).equals(fallback.hmac(key, abc)) &&
    Buffer.from(scratch.mac(key, abc)).equals(fallback.mac(key, abc)) &&
    Buffer.from(scratch.seal(key, 0, abc, key)).equals(sealed) &&
    Buffer.from(scratch.open(key, 0, sealed, key) ?? []).equals(abc) &&
    scratch.open(
      key,
      0,
      sealed,
      key.map((byte) => byte ^ 1),
    ) === null;
  if (!isSound) return undefined;
  return {
    hash: (...parts) => scratch.hash(...parts),
    mac: (macKey, ...parts) => scratch.mac(macKey, ...parts),
    hmac: (hmacKey, ...parts) => scratch.hmac(hmacKey, ...parts),
    aeadSeal: (sealKey, counter, plaintext, aad) => scratch.seal(sealKey, counter, plaintext, aad),
    aeadOpen: (openKey, counter, box, aad) => scratch.open(openKey, counter, box, aad),
  };
}
