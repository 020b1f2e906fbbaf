/**
 * mac1, mac2 and the cookie reply: the defence against floods of handshakes.
 * Source: WireGuard paper §5.4.4 (macs), §5.4.7 (cookie reply), §5.3 (denial of service); kernel cookie.c.
 * @module
 */
import {
  COOKIE_NONCE_SIZE,
  COOKIE_SECRET_LIFETIME,
  COOKIE_USE_TIME,
  KEY_SIZE,
  LABEL_COOKIE,
  LABEL_MAC1,
  MAC_SIZE,
} from './constants.ts';
import {
  COOKIE_REPLY_COOKIE,
  COOKIE_REPLY_NONCE,
  COOKIE_REPLY_SIZE,
  type CookieReply,
  TYPE_COOKIE_REPLY,
  writeHead,
} from './messages.ts';
import { type Primitives, wipe } from './primitives.ts';

const encoder = new TextEncoder();
const labelMac1 = encoder.encode(LABEL_MAC1);
const labelCookie = encoder.encode(LABEL_COOKIE);

/** A handshake message ends with mac1 and mac2, each of sixteen bytes. */
function macsOf(message: Uint8Array): { mac1: number; mac2: number } {
  return { mac1: message.length - 2 * MAC_SIZE, mac2: message.length - MAC_SIZE };
}

/** What anybody who knows a public key can make: it checks mac1, and seals cookies. 32 bytes each. */
export interface MacKeys {
  readonly mac1Key: Uint8Array;
  readonly cookieKey: Uint8Array;
}

/** Our side as the one who is addressed: checks macs, and under load hands out cookies. */
export class CookieChecker {
  readonly #p: Primitives;
  readonly #mac1Key: Uint8Array;
  readonly #cookieKey: Uint8Array;
  readonly #secret = new Uint8Array(KEY_SIZE);
  #secretMadeAt = Number.NEGATIVE_INFINITY;

  constructor(p: Primitives, publicKey: Uint8Array) {
    this.#p = p;
    this.#mac1Key = p.hash(labelMac1, publicKey);
    this.#cookieKey = p.hash(labelCookie, publicKey);
  }

  /** Copies. */
  get macKeys(): MacKeys {
    return { mac1Key: Uint8Array.from(this.#mac1Key), cookieKey: Uint8Array.from(this.#cookieKey) };
  }

  /** msg.mac1 = Mac(Hash(Label-Mac1 ‖ Spub_m'), msg_α): the sender at least knows our public key. */
  checkMac1(message: Uint8Array): boolean {
    const { mac1, mac2 } = macsOf(message);
    if (mac1 < 0) return false;
    const expected = this.#p.mac(this.#mac1Key, message.subarray(0, mac1));
    return this.#p.equal(expected, message.subarray(mac1, mac2));
  }

  /** msg.mac2 = Mac(cookie, msg_β): the sender receives at the source it claims. */
  checkMac2(message: Uint8Array, source: Uint8Array, now: number): boolean {
    const { mac1, mac2 } = macsOf(message);
    if (mac1 < 0 || now - this.#secretMadeAt > COOKIE_SECRET_LIFETIME) return false;
    const cookie = this.#p.mac(this.#secret, source);
    const expected = this.#p.mac(cookie, message.subarray(0, mac2));
    wipe(cookie);
    return this.#p.equal(expected, message.subarray(mac2));
  }

  /** `source` is address and port as bytes: a cookie of one port is worth nothing at another. */
  createReply(message: Uint8Array, receiver: number, source: Uint8Array, now: number): Uint8Array {
    // Paper §5.4.7: R_m' changes every two minutes.
    if (now - this.#secretMadeAt > COOKIE_SECRET_LIFETIME) {
      this.#secret.set(this.#p.randomBytes(KEY_SIZE));
      this.#secretMadeAt = now;
    }
    const { mac1, mac2 } = macsOf(message);
    const reply = new Uint8Array(COOKIE_REPLY_SIZE);
    writeHead(reply, TYPE_COOKIE_REPLY, receiver);
    // msg.nonce := ρ^24
    const nonce = this.#p.randomBytes(COOKIE_NONCE_SIZE);
    reply.set(nonce, COOKIE_REPLY_NONCE);
    // τ := Mac(R_m', source)
    const cookie = this.#p.mac(this.#secret, source);
    // msg.cookie := Xaead(Hash(Label-Cookie ‖ Spub_m), msg.nonce, τ, mac1 of the message answered)
    reply.set(
      this.#p.xaeadSeal(this.#cookieKey, nonce, cookie, message.subarray(mac1, mac2)),
      COOKIE_REPLY_COOKIE,
    );
    wipe(cookie);
    return reply;
  }

  wipe(): void {
    wipe(this.#mac1Key, this.#cookieKey, this.#secret);
    this.#secretMadeAt = Number.NEGATIVE_INFINITY;
  }
}

export interface CookieMemory {
  readonly lastMac1: Uint8Array | null;
  readonly cookie: Uint8Array | null;
  readonly takenAt: number;
}

/** Our side as the one who addresses a peer: writes macs, and keeps the cookie the peer gave us. */
export class CookieGenerator {
  readonly #p: Primitives;
  readonly #remotePublicKey: Uint8Array;
  /** Made for the first message: a peer that is configured and silent costs no hash, and no memory. */
  #mac1Key: Uint8Array | undefined;
  #lastMac1: Uint8Array | null = null;
  #cookie: Uint8Array | null = null;
  #cookieTakenAt = Number.NEGATIVE_INFINITY;

  /** The key is kept, not copied. */
  constructor(p: Primitives, remotePublicKey: Uint8Array) {
    this.#p = p;
    this.#remotePublicKey = remotePublicKey;
  }

  /** Fills the last 32 bytes of a message; mac2 stays zero while we hold no fresh cookie. */
  addMacs(message: Uint8Array, now: number): void {
    const { mac1, mac2 } = macsOf(message);
    // msg.mac1 := Mac(Hash(Label-Mac1 ‖ Spub_m'), msg_α)
    this.#mac1Key ??= this.#p.hash(labelMac1, this.#remotePublicKey);
    const first = this.#p.mac(this.#mac1Key, message.subarray(0, mac1));
    message.set(first, mac1);
    this.#lastMac1 = first;
    message.fill(0, mac2);
    if (this.#cookie === null) return;
    if (now - this.#cookieTakenAt > COOKIE_USE_TIME) {
      wipe(this.#cookie);
      this.#cookie = null;
      return;
    }
    // msg.mac2 := Mac(L_m, msg_β)
    message.set(this.#p.mac(this.#cookie, message.subarray(0, mac2)), mac2);
  }

  /** False when we sent nothing it could answer, or it does not open. One reply counts for each message sent. */
  consumeReply(reply: CookieReply, now: number): boolean {
    if (this.#lastMac1 === null) return false;
    const cookieKey = this.#p.hash(labelCookie, this.#remotePublicKey);
    const cookie = this.#p.xaeadOpen(cookieKey, reply.nonce, reply.encryptedCookie, this.#lastMac1);
    if (cookie === null) return false;
    wipe(this.#cookie);
    this.#cookie = cookie;
    this.#cookieTakenAt = now;
    this.#lastMac1 = null;
    return true;
  }

  /** What the peer gave us, and what it may still answer; lent. */
  get memory(): CookieMemory {
    return { lastMac1: this.#lastMac1, cookie: this.#cookie, takenAt: this.#cookieTakenAt };
  }

  /** Takes the bytes over. */
  set memory({ lastMac1, cookie, takenAt }: CookieMemory) {
    this.#lastMac1 = lastMac1;
    this.#cookie = cookie;
    this.#cookieTakenAt = takenAt;
  }

  wipe(): void {
    wipe(this.#mac1Key, this.#cookie);
    this.#mac1Key = undefined;
    this.#cookie = null;
    this.#lastMac1 = null;
  }
}
