/**
 * What the handshake side remembers of one peer.
 * Source: WireGuard paper §5.4 (the variables a peer keeps); kernel struct noise_handshake.
 * @module
 */
import { KEY_SIZE } from './constants.ts';
import { CookieGenerator } from './cookie.ts';
import { type HandshakeState, idle, type Remote } from './handshake.ts';
import { type Primitives, secretBytes, secretCopy, wipe } from './primitives.ts';
import type { Tai64n } from './tai64n.ts';

/** A `Remote` that knows whose it is. */
export interface PeerRemote extends Remote {
  readonly peer: HandshakePeer;
}

export class HandshakePeer {
  readonly id: number;
  readonly publicKey: Uint8Array;
  /** Zeros when none is set. */
  readonly presharedKey = secretBytes(KEY_SIZE);
  readonly cookies: CookieGenerator;
  state: HandshakeState = idle();
  lastSentIndex: number | null = null;
  /** Of initiations and responses alike. Monotonic, like every …At here. */
  lastSentAt = Number.NEGATIVE_INFINITY;
  /** When we made the initiation of `state`. */
  initiatedAt = Number.NEGATIVE_INFINITY;
  /** When we last consumed one of the peer's. */
  lastInitiationAt = Number.NEGATIVE_INFINITY;
  lastTimestampSent: Tai64n | undefined;
  lastTimestampReceived: Tai64n | null = null;
  readonly #p: Primitives;
  /** undefined: not computed yet for the present identity; null: it is all zero. */
  #staticStatic: Uint8Array | null | undefined;

  constructor(p: Primitives, id: number, publicKey: Uint8Array) {
    this.#p = p;
    this.id = id;
    this.publicKey = Uint8Array.from(publicKey);
    this.cookies = new CookieGenerator(p, this.publicKey);
  }

  /** The static-static secret is made on first use, so that five thousand peers are configured in no time. */
  remote(privateKey: Uint8Array): PeerRemote {
    if (this.#staticStatic === undefined) {
      const secret = this.#p.dh(privateKey, this.publicKey);
      this.#staticStatic = secret && secretCopy(secret);
      wipe(secret);
    }
    return {
      peer: this,
      publicKey: this.publicKey,
      presharedKey: this.presharedKey,
      staticStatic: this.#staticStatic,
    };
  }

  /** The private key was replaced: what was derived from the old one goes. */
  identityChanged(): void {
    wipe(this.#staticStatic);
    this.#staticStatic = undefined;
    this.lastSentAt = Number.NEGATIVE_INFINITY;
  }

  wipe(): void {
    this.identityChanged();
    wipe(this.presharedKey);
    this.cookies.wipe();
  }
}
