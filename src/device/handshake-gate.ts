/**
 * The gate every handshake message passes before it may cost the control thread anything: mac1 here, and under load
 * mac2 or a cookie reply, at a microsecond or two each. What a sender has proved decides the ring it waits in.
 * Source: WireGuard paper §5.3, §5.4.4, §5.4.7; linux drivers/net/wireguard/receive.c, cookie.c (order of the checks).
 *
 *     mac1 wrong                             dropped
 *     response or cookie reply to what we asked    ring of the proven
 *     not under load                         open ring
 *     mac2 right, and within the rate        ring of the proven
 *     mac2 missing or wrong                  answered with a cookie
 * @module
 */
import { type Kernel, MAC_KEY_SIZE } from '../aead/kernel.ts';
import * as libc from '../linux/libc.ts';
import { COOKIE_NONCE_SIZE, COOKIE_SECRET_LIFETIME, KEY_SIZE, MAC_SIZE } from '../noise/constants.ts';
import {
  COOKIE_REPLY_COOKIE,
  COOKIE_REPLY_NONCE,
  COOKIE_REPLY_SIZE,
  RESPONSE_RECEIVER,
  TYPE_COOKIE_REPLY,
  TYPE_RESPONSE,
} from '../noise/messages.ts';
import { RateLimiter } from '../noise/rate-limiter.ts';
import { UnderLoad } from '../noise/under-load.ts';
import { ENDPOINT_LENGTH, ENDPOINT_SIZE, ENDPOINT_SOURCE_LENGTH } from '../tun/endpoint.ts';
import type { Mailbox } from '../tun/mailbox.ts';
import type { Slab } from '../tun/slab.ts';
import { isSourceFault, UdpSender } from '../tun/udp-port.ts';
import { AskedIndices } from './asked-indices.ts';
import { Drop } from './drops.ts';
import { FloodBudget } from './flood-budget.ts';
import { FloodFilter } from './flood-filter.ts';

/** Nonces drawn from the operating system at a time. */
const NONCES = 128;
/** Cookies made in ten milliseconds, of about 5 µs each with the sending. */
const REPLIES = { free: 50, fair: 4, most: 1000 };
/** Wrong cookies looked at in ten milliseconds, of about 1 µs each. */
const PROOFS = { free: 500, fair: 20, most: 2500 };
/** Port and address: what a cookie is for. */
const SOURCE_SIZE = 18;
const INDEX = 4;
const SOCKADDR_PORT = 2;
const SOCKADDR_ADDRESS = 4;
const SOCKADDR_ADDRESS6 = 8;
const IPV6_LENGTH = 28;

const randomWord = (): number => Math.floor(Math.random() * 0x1_0000_0000);

export class HandshakeGate {
  readonly #slab: Slab;
  readonly #kernel: Kernel;
  readonly #drops: Float64Array;
  readonly #mailbox: Mailbox;
  readonly #wake: () => void;
  readonly #sender: UdpSender;
  readonly #asked = new AskedIndices();
  readonly #limiter = new RateLimiter(undefined, randomWord());
  readonly #replies = new FloodBudget(REPLIES, randomWord());
  readonly #proofs = new FloodBudget(PROOFS, randomWord());
  readonly #load: UnderLoad;
  readonly #filter4: FloodFilter;
  readonly #filter6: FloodFilter;
  readonly #mac1Key: number;
  readonly #cookieKey: number;
  /** What cookies are made from; changed every two minutes, and known to nobody else. */
  readonly #secret: number;
  readonly #scratch: number;
  readonly #source: number;
  readonly #cookie: number;
  readonly #reply: number;
  readonly #nonces: number;
  #noncesUsed = NONCES;
  #secretMadeAt = Number.NEGATIVE_INFINITY;
  #hasIdentity = false;

  constructor(slab: Slab, kernel: Kernel, drops: Float64Array, mailbox: Mailbox, wake: () => void) {
    this.#slab = slab;
    this.#kernel = kernel;
    this.#drops = drops;
    this.#mailbox = mailbox;
    this.#wake = wake;
    this.#load = new UnderLoad(mailbox.slots);
    this.#sender = new UdpSender(slab);
    this.#filter4 = new FloodFilter(slab, randomWord);
    this.#filter6 = new FloodFilter(slab, randomWord);
    this.#mac1Key = slab.take(MAC_KEY_SIZE);
    this.#cookieKey = slab.take(KEY_SIZE);
    this.#secret = slab.take(MAC_KEY_SIZE);
    this.#scratch = slab.take(MAC_KEY_SIZE);
    this.#source = slab.take(SOURCE_SIZE);
    this.#cookie = slab.take(MAC_SIZE);
    this.#reply = slab.take(COOKIE_REPLY_SIZE);
    this.#nonces = slab.take(NONCES * COOKIE_NONCE_SIZE);
  }

  /** The two keys that follow from our public key; undefined: we have none. */
  setIdentity(keys: { readonly mac1Key: Uint8Array; readonly cookieKey: Uint8Array } | undefined): void {
    this.#hasIdentity = keys !== undefined;
    if (keys === undefined) return;
    this.#slab.bytes.set(keys.mac1Key, this.#scratch);
    this.#kernel.macBegin(this.#scratch, KEY_SIZE, this.#mac1Key);
    this.#slab.bytes.set(keys.cookieKey, this.#cookieKey);
  }

  /** A handshake message of ours leaves: what answers it is welcome. */
  asked(message: Uint8Array): void {
    this.#asked.add(new DataView(message.buffer, message.byteOffset).getInt32(INDEX, true));
  }

  /** Whether a socket turned out to be lost since the last call. */
  takeLoss(): boolean {
    const isLost = this.#sender.socketLost;
    this.#sender.socketLost = false;
    return isLost;
  }

  /** Takes a message of a type and length that go together, from the endpoint record at `source`. */
  admit(fd: number, at: number, length: number, source: number, now: number): void {
    const { view } = this.#slab;
    const type = view.getUint32(at, true);
    if (type === TYPE_COOKIE_REPLY) {
      this.#answer(this.#asked.has(view.getInt32(at + INDEX, true)), at, length, source, now);
      return;
    }
    // Without a key nothing can be checked; the control thread knows, and counts it so.
    if (!this.#hasIdentity) {
      this.#put(this.#mailbox.put(this.#slab.bytes, at, length, source));
      return;
    }
    const { bytes } = this.#slab;
    const wasAsked = type === TYPE_RESPONSE && this.#asked.has(view.getInt32(at + RESPONSE_RECEIVER, true));
    const needsCookie = !wasAsked && this.#load.observe(this.#mailbox.length, now);
    const hasMac2 = needsCookie && this.#hasMac2(at + length - MAC_SIZE);
    if (needsCookie && (hasMac2 ? this.#proofs : this.#replies).isSpent(bytes, source, now)) {
      this.#crowd(fd, source, hasMac2 ? view.getInt32(at + length - MAC_SIZE, true) : 0, now);
      return;
    }
    const mac1 = at + length - 2 * MAC_SIZE;
    if (this.#kernel.macHolds(this.#mac1Key, at, length - 2 * MAC_SIZE, mac1) === 0) {
      this.#count(Drop['handshake-bad-mac1']);
    } else if (wasAsked) this.#put(this.#mailbox.putProven(bytes, at, length, source));
    else if (!needsCookie) this.#put(this.#mailbox.put(bytes, at, length, source));
    else this.#askForProof(fd, at, length, source, hasMac2, now);
  }

  /** What answers nothing we asked is let through while there is room: the control thread may know better. */
  #answer(wasAsked: boolean, at: number, length: number, source: number, now: number): void {
    const { bytes } = this.#slab;
    if (wasAsked) this.#put(this.#mailbox.putProven(bytes, at, length, source));
    else if (this.#load.observe(this.#mailbox.length, now)) this.#count(Drop['handshake-unknown-index']);
    else this.#put(this.#mailbox.put(bytes, at, length, source));
  }

  /** Under load: mac2 has to be right, or a cookie is sent. */
  #askForProof(fd: number, at: number, length: number, source: number, hasMac2: boolean, now: number): void {
    const { bytes } = this.#slab;
    // Paper §5.4.7: R_m' changes every two minutes, and every cookie with it.
    if (now - this.#secretMadeAt > COOKIE_SECRET_LIFETIME) {
      libc.getrandom(this.#slab.address + this.#scratch, KEY_SIZE, 0);
      this.#kernel.macBegin(this.#scratch, KEY_SIZE, this.#secret);
      this.#secretMadeAt = now;
    }
    this.#bake(source);
    if (!hasMac2 || !this.#holdsMac2(at, length - MAC_SIZE)) {
      if (hasMac2) this.#proofs.spend(bytes, source);
      if (this.#replies.isSpent(bytes, source, now)) {
        this.#count(Drop['handshake-crowded']);
        return;
      }
      this.#count(Drop['handshake-cookie-asked']);
      this.#replies.spend(bytes, source);
      this.#sendReply(fd, at, at + length - 2 * MAC_SIZE, source);
      return;
    }
    const isV6 = bytes[source + ENDPOINT_LENGTH] === IPV6_LENGTH;
    const address = source + (isV6 ? SOCKADDR_ADDRESS6 : SOCKADDR_ADDRESS);
    if (!this.#limiter.allowAt(bytes, address, isV6, now)) this.#count(Drop['handshake-rate-limited']);
    else this.#put(this.#mailbox.putProven(bytes, at, length, source));
  }

  /** Too many of that source: the kernel shall drop them from now on. */
  #crowd(fd: number, source: number, cookie: number, now: number): void {
    this.#count(Drop['handshake-crowded']);
    const isV6 = this.#slab.bytes[source + ENDPOINT_LENGTH] === IPV6_LENGTH;
    (isV6 ? this.#filter6 : this.#filter4).learn(fd, source, cookie, now);
  }

  /** When expire() wants to be called. */
  get deadline(): number {
    return Math.min(this.#filter4.deadline, this.#filter6.deadline);
  }

  expire(now: number): void {
    const shed = Drop['handshake-shed'];
    for (const filter of [this.#filter4, this.#filter6]) {
      if (filter.deadline > now) continue;
      this.#drops[shed] = (this.#drops[shed] as number) + filter.expire();
    }
  }

  /** Zeros are what an initiator sends that has no cookie. */
  #hasMac2(mac2: number): boolean {
    const { view } = this.#slab;
    let any = 0;
    for (let i = 0; i < MAC_SIZE; i += 4) any |= view.getInt32(mac2 + i, true);
    return any !== 0;
  }

  #holdsMac2(at: number, length: number): boolean {
    this.#kernel.macBegin(this.#cookie, MAC_SIZE, this.#scratch);
    return this.#kernel.macHolds(this.#scratch, at, length, at + length) === 1;
  }

  /** τ := Mac(R_m', source), for the source at hand. A cookie of one port is worth nothing at another. */
  #bake(source: number): void {
    const { bytes } = this.#slab;
    const isV6 = bytes[source + ENDPOINT_LENGTH] === IPV6_LENGTH;
    const length = isV6 ? 18 : 6;
    const address = source + (isV6 ? SOCKADDR_ADDRESS6 : SOCKADDR_ADDRESS);
    bytes[this.#source] = bytes[source + SOCKADDR_PORT] as number;
    bytes[this.#source + 1] = bytes[source + SOCKADDR_PORT + 1] as number;
    for (let i = 0; i < length - 2; i += 1) bytes[this.#source + 2 + i] = bytes[address + i] as number;
    this.#kernel.mac(this.#secret, this.#source, length, this.#cookie);
  }
  /** To where the message came from; it is nobody's, so nothing waits for it and nothing is tried twice. */
  #sendReply(fd: number, at: number, mac1: number, source: number): void {
    const { bytes, view } = this.#slab;
    if (this.#noncesUsed === NONCES) {
      libc.getrandom(this.#slab.address + this.#nonces, NONCES * COOKIE_NONCE_SIZE, 0);
      this.#noncesUsed = 0;
    }
    const nonce = this.#nonces + this.#noncesUsed * COOKIE_NONCE_SIZE;
    this.#noncesUsed += 1;
    const reply = this.#reply;
    view.setUint32(reply, TYPE_COOKIE_REPLY, true);
    view.setUint32(reply + INDEX, view.getUint32(at + INDEX, true), true);
    bytes.copyWithin(reply + COOKIE_REPLY_NONCE, nonce, nonce + COOKIE_NONCE_SIZE);
    this.#kernel.sealCookie(this.#cookieKey, nonce, this.#cookie, mac1, reply + COOKIE_REPLY_COOKIE);
    const { endpoint } = this.#sender;
    bytes.copyWithin(endpoint, source, source + ENDPOINT_SIZE);
    let errno = this.#sender.send(fd, reply, COOKIE_REPLY_SIZE, COOKIE_REPLY_SIZE);
    if (isSourceFault(errno) && bytes[endpoint + ENDPOINT_SOURCE_LENGTH] !== 0) {
      bytes[endpoint + ENDPOINT_SOURCE_LENGTH] = 0;
      errno = this.#sender.send(fd, reply, COOKIE_REPLY_SIZE, COOKIE_REPLY_SIZE);
    }
    if (errno !== 0)
      this.#count(errno === libc.Errno.EAGAIN ? Drop['send-buffer-full'] : Drop['send-failed']);
  }

  #put(isIn: boolean): void {
    if (!isIn) this.#count(Drop['mailbox-full']);
    else if (this.#mailbox.mustWake()) this.#wake();
  }

  #count(drop: number): void {
    this.#drops[drop] = (this.#drops[drop] as number) + 1;
  }
}
