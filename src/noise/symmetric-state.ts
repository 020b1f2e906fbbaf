/**
 * The running hash and chaining key of one handshake.
 * Source: WireGuard paper §5.4.2 and §5.4.3 (C and H); Noise framework §5.2 (SymmetricState, from which the names).
 * @module
 */
import { CONSTRUCTION, IDENTIFIER, KEY_SIZE } from './constants.ts';
import { kdf1, kdf2, kdf3 } from './kdf.ts';
import { type Primitives, secretBytes, wipe } from './primitives.ts';

const encoder = new TextEncoder();
const construction = encoder.encode(CONSTRUCTION);
const identifier = encoder.encode(IDENTIFIER);
const EMPTY = new Uint8Array(0);

export interface SymmetricParts {
  readonly chain: Uint8Array;
  readonly hash: Uint8Array;
}

/** Every value that is replaced is wiped; `wipe` ends the handshake. */
export class SymmetricState {
  readonly #p: Primitives;
  #chain: Uint8Array;
  #hash: Uint8Array;

  private constructor(p: Primitives, chain: Uint8Array, hash: Uint8Array) {
    this.#p = p;
    this.#chain = chain;
    this.#hash = hash;
  }

  static start(p: Primitives, responderStatic: Uint8Array): SymmetricState {
    // C := Hash(Construction)
    const chain = p.hash(construction);
    // H := Hash(C ‖ Identifier); H := Hash(H ‖ Spub_r)
    return new SymmetricState(p, chain, p.hash(p.hash(chain, identifier), responderStatic));
  }

  /** Goes on with what `parts` gave; the bytes are taken over. */
  static restore(p: Primitives, { chain, hash }: SymmetricParts): SymmetricState {
    return new SymmetricState(p, chain, hash);
  }

  /** Lent, to be written down. */
  get parts(): SymmetricParts {
    return { chain: this.#chain, hash: this.#hash };
  }

  /** Work on a copy, and the original survives a message that turns out to be false. */
  copy(): SymmetricState {
    return new SymmetricState(this.#p, Uint8Array.from(this.#chain), Uint8Array.from(this.#hash));
  }

  /** H := Hash(H ‖ data) */
  mixHash(data: Uint8Array): void {
    const next = this.#p.hash(this.#hash, data);
    wipe(this.#hash);
    this.#hash = next;
  }

  /** C := Kdf1(C, input) */
  mixKey(input: Uint8Array): void {
    const next = kdf1(this.#p, this.#chain, input);
    wipe(this.#chain);
    this.#chain = next;
  }

  /** (C, κ) := Kdf2(C, input); the caller wipes κ. */
  mixKeyAndDerive(input: Uint8Array): Uint8Array {
    const [next, key] = kdf2(this.#p, this.#chain, input);
    wipe(this.#chain);
    this.#chain = next;
    return key;
  }

  /** (C, τ, κ) := Kdf3(C, Q); H := Hash(H ‖ τ); the caller wipes κ. */
  mixPresharedKey(presharedKey: Uint8Array): Uint8Array {
    const [next, tau, key] = kdf3(this.#p, this.#chain, presharedKey);
    wipe(this.#chain);
    this.#chain = next;
    this.mixHash(tau);
    wipe(tau);
    return key;
  }

  /** field := Aead(κ, 0, plaintext, H); H := Hash(H ‖ field); wipes κ. */
  seal(key: Uint8Array, plaintext: Uint8Array): Uint8Array {
    const field = this.#p.aeadSeal(key, 0, plaintext, this.#hash);
    wipe(key);
    this.mixHash(field);
    return field;
  }

  /** The mirror of `seal`; null, with H unchanged, when the tag does not hold. Wipes κ. */
  open(key: Uint8Array, field: Uint8Array): Uint8Array | null {
    const plaintext = this.#p.aeadOpen(key, 0, field, this.#hash);
    wipe(key);
    if (plaintext !== null) this.mixHash(field);
    return plaintext;
  }

  /** (T1, T2) := Kdf2(C, ε): the initiator sends with T1, the responder with T2. Paper §5.4.5. */
  split(): [Uint8Array, Uint8Array] {
    const [first, second] = kdf2(this.#p, this.#chain, EMPTY);
    const keys = secretBytes(2 * KEY_SIZE);
    keys.set(first);
    keys.set(second, KEY_SIZE);
    wipe(first, second);
    return [keys.subarray(0, KEY_SIZE), keys.subarray(KEY_SIZE)];
  }

  wipe(): void {
    wipe(this.#chain, this.#hash);
  }
}
