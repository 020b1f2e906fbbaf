/**
 * Every handshake of one device: identity, peers, what to answer, what to drop and why.
 * Source: WireGuard paper §5.4 (messages), §5.1 (timestamps), §5.3 (cookies), §6.1 (spacing); kernel noise.c, receive.c.
 * A message that is not accepted changes nothing. Unlike kernel and Go, our own initiation stays open while we answer
 * the peer's, so two sides that initiate in the same moment have a session at once and not after the next retry.
 * @module
 */
import { INITIATION_FLOOD_INTERVAL, REKEY_TIMEOUT } from './constants.ts';
import { CookieChecker, type MacKeys } from './cookie.ts';
import {
  consumeInitiation,
  consumeResponse,
  createInitiation,
  createResponse,
  idle,
  type TransportKeys,
  wipeHandshake,
} from './handshake.ts';
import type { ConsumeOutcome, DropReason, InitiateOutcome } from './handshake-outcome.ts';
import { HandshakePeer } from './handshake-peer.ts';
import type { HandshakerMemory } from './handshaker-state.ts';
import {
  type CookieReply,
  type HandshakeMessage,
  type Initiation,
  parseHandshakeMessage,
  type Response,
  TYPE_COOKIE_REPLY,
  TYPE_INITIATION,
  TYPE_RESPONSE,
} from './messages.ts';
import { clampPrivateKey, isZero, type KeyPair, type Primitives, wipe } from './primitives.ts';
import { RateLimiter } from './rate-limiter.ts';
import type { IndexAllocator, SessionKeys } from './session-keys.ts';
import { isAfter, type Tai64n, Tai64nClock } from './tai64n.ts';

export interface PrivateKeyChange {
  /** False when it is the key we had: then nothing was touched. */
  readonly changed: boolean;
  /** A peer that turned out to be ourselves and was removed; the transport side must remove it too. */
  readonly removedPeer: number | null;
}

interface Identity extends KeyPair {
  readonly checker: CookieChecker;
}

function drop(reason: DropReason): ConsumeOutcome {
  return { kind: 'drop', reason };
}

function sessionOf(
  peer: HandshakePeer,
  localIndex: number,
  remoteIndex: number,
  keys: TransportKeys,
  isInitiator: boolean,
  createdAt: number,
): SessionKeys {
  return { peer: peer.id, localIndex, remoteIndex, ...keys, isInitiator, createdAt };
}

export class Handshaker {
  readonly #p: Primitives;
  readonly #indices: IndexAllocator;
  readonly #onIdentity: (keys: MacKeys | undefined) => void;
  readonly #limiter = new RateLimiter();
  readonly #clock = new Tai64nClock();
  readonly #peers = new Map<number, HandshakePeer>();
  /** By public key; keys of a map are not secret, and what is looked up has been authenticated. */
  readonly #byKey = new Map<string, HandshakePeer>();
  /** Our unfinished initiations, by the sender index they carry. */
  readonly #initiations = new Map<number, HandshakePeer>();
  /** The last message sent to each peer, by its sender index: only that one can be answered by a cookie. */
  readonly #lastSent = new Map<number, HandshakePeer>();
  #identity: Identity | null = null;
  /** The latest label given to a peer that was removed: it may come back, and still remembers. */
  #removedTimestamp: Tai64n | undefined;

  /** `onIdentity` hears of each new private key what messages to us are checked with; undefined: there is no key. */
  constructor(
    primitives: Primitives,
    indices: IndexAllocator,
    onIdentity: (keys: MacKeys | undefined) => void = () => undefined,
  ) {
    this.#p = primitives;
    this.#indices = indices;
    this.#onIdentity = onIdentity;
  }

  get publicKey(): Uint8Array | null {
    return this.#identity?.publicKey ?? null;
  }

  /** Clamped; for the `get` of the control socket. Not a copy. */
  get privateKey(): Uint8Array | null {
    return this.#identity?.privateKey ?? null;
  }

  /** What handshaker-state.ts carries from one process to the next. */
  get memory(): HandshakerMemory {
    return {
      clock: this.#clock,
      peers: this.#peers,
      initiations: this.#initiations,
      lastSent: this.#lastSent,
    };
  }

  /** The latest label given to a peer that was removed since. */
  get removedTimestamp(): Tai64n | undefined {
    return this.#removedTimestamp;
  }

  set removedTimestamp(label: Tai64n | undefined) {
    this.#removedTimestamp = label;
  }

  get peerCount(): number {
    return this.#peers.size;
  }

  /** Zeros take the key away. After a change no old handshake can finish, and the next may go at once. */
  setPrivateKey(key: Uint8Array): PrivateKeyChange {
    const privateKey = isZero(key) ? null : clampPrivateKey(key);
    const current = this.#identity?.privateKey ?? null;
    const same =
      privateKey === null ? current === null : current !== null && this.#p.equal(privateKey, current);
    if (same) {
      wipe(privateKey);
      return { changed: false, removedPeer: null };
    }
    this.#identity?.checker.wipe();
    wipe(current);
    this.#identity = null;
    let removedPeer: number | null = null;
    if (privateKey !== null) {
      const publicKey = this.#p.publicKey(privateKey);
      this.#identity = { privateKey, publicKey, checker: new CookieChecker(this.#p, publicKey) };
      removedPeer = this.findPeer(publicKey);
      if (removedPeer !== null) this.removePeer(removedPeer);
    }
    for (const peer of this.#peers.values()) {
      this.#abandon(peer);
      peer.identityChanged();
    }
    this.#onIdentity(this.#identity?.checker.macKeys);
    return { changed: true, removedPeer };
  }

  /** `own-key`: a peer that would be ourselves is accepted and ignored by the caller, as in the kernel. */
  addPeer(id: number, publicKey: Uint8Array): 'added' | 'own-key' | 'exists' {
    const own = this.#identity?.publicKey;
    if (own !== undefined && this.#p.equal(own, publicKey)) return 'own-key';
    const key = publicKey.join();
    if (this.#peers.has(id) || this.#byKey.has(key)) return 'exists';
    const peer = new HandshakePeer(this.#p, id, publicKey);
    this.#peers.set(id, peer);
    this.#byKey.set(key, peer);
    return 'added';
  }

  findPeer(publicKey: Uint8Array): number | null {
    return this.#byKey.get(publicKey.join())?.id ?? null;
  }

  removePeer(id: number): boolean {
    const peer = this.#peers.get(id);
    if (peer === undefined) return false;
    this.#abandon(peer);
    this.#peers.delete(id);
    this.#byKey.delete(peer.publicKey.join());
    const timestamp = peer.lastTimestampSent;
    const floor = this.#removedTimestamp;
    if (timestamp !== undefined && (floor === undefined || isAfter(timestamp, floor))) {
      this.#removedTimestamp = timestamp;
    }
    peer.wipe();
    return true;
  }

  /** Zeros mean none. Used from the next handshake on; a running session keeps its keys. */
  setPresharedKey(id: number, key: Uint8Array): boolean {
    const peer = this.#peers.get(id);
    if (peer === undefined) return false;
    peer.presharedKey.set(key);
    return true;
  }

  /** Not a copy; zeros when none is set. */
  presharedKey(id: number): Uint8Array | null {
    return this.#peers.get(id)?.presharedKey ?? null;
  }

  /** Forgets an unfinished handshake: on give-up, after 540 s, when the device goes down. */
  clearHandshake(id: number): void {
    const peer = this.#peers.get(id);
    if (peer !== undefined) this.#abandon(peer);
  }

  /** A peer that was just started or taken down need not wait for its spacing. */
  resetSpacing(id: number): void {
    const peer = this.#peers.get(id);
    if (peer !== undefined) peer.lastSentAt = Number.NEGATIVE_INFINITY;
  }

  /** `now` is monotonic, `wallNow` the time of day, both in milliseconds. */
  initiate(id: number, now: number, wallNow: number): InitiateOutcome {
    const peer = this.#peers.get(id);
    if (peer === undefined) return { kind: 'refused', reason: 'unknown-peer' };
    const identity = this.#identity;
    if (identity === null) return { kind: 'refused', reason: 'no-private-key' };
    // Paper §6.1: never more than one handshake message per REKEY_TIMEOUT.
    if (now - peer.lastSentAt < REKEY_TIMEOUT) return { kind: 'suppressed' };
    const remote = peer.remote(identity.privateKey);
    if (remote.staticStatic === null) return { kind: 'refused', reason: 'zero-secret' };
    const timestamp = this.#clock.next(wallNow, peer.lastTimestampSent ?? this.#removedTimestamp);
    const localIndex = this.#indices.allocate();
    const created = createInitiation(this.#p, identity, remote, localIndex, timestamp);
    if (created === 'zero-secret') {
      this.#indices.release(localIndex);
      return { kind: 'refused', reason: created };
    }
    this.#abandon(peer);
    peer.state = created.state;
    peer.initiatedAt = now;
    peer.lastTimestampSent = timestamp;
    this.#initiations.set(localIndex, peer);
    this.#sent(peer, localIndex, created.message, now);
    return { kind: 'initiation', peer: id, message: created.message, localIndex };
  }

  /** `source` is where the message came from: address, then port big-endian (6 or 18 bytes; ip.ts endpointBytes). */
  consume(message: Uint8Array, source: Uint8Array, now: number, underLoad: boolean): ConsumeOutcome {
    const parsed = parseHandshakeMessage(message);
    if (parsed === null) return drop('malformed');
    const identity = this.#identity;
    if (identity === null) return drop('no-private-key');
    if (parsed.type !== TYPE_COOKIE_REPLY && !identity.checker.checkMac1(message)) return drop('bad-mac1');
    if (parsed.type !== TYPE_COOKIE_REPLY && underLoad) {
      if (!identity.checker.checkMac2(message, source, now)) {
        const reply = identity.checker.createReply(message, parsed.sender, source, now);
        return { kind: 'cookie-reply', message: reply };
      }
      if (!this.#limiter.allow(source.subarray(0, -2), now)) return drop('rate-limited');
    }
    return this.#consume(identity, parsed, now);
  }

  /** The same for a message whose macs, and whose sender's rate, somebody else has checked. */
  consumeChecked(message: Uint8Array, now: number): ConsumeOutcome {
    const parsed = parseHandshakeMessage(message);
    if (parsed === null) return drop('malformed');
    return this.#identity === null ? drop('no-private-key') : this.#consume(this.#identity, parsed, now);
  }

  #consume(identity: Identity, parsed: HandshakeMessage, now: number): ConsumeOutcome {
    switch (parsed.type) {
      case TYPE_INITIATION:
        return this.#consumeInitiation(identity, parsed, now);
      case TYPE_RESPONSE:
        return this.#consumeResponse(identity, parsed, now);
      case TYPE_COOKIE_REPLY:
        return this.#consumeCookieReply(parsed, now);
    }
  }

  #consumeCookieReply(reply: CookieReply, now: number): ConsumeOutcome {
    const peer = this.#lastSent.get(reply.receiver);
    if (peer === undefined) return drop('unknown-index');
    if (!peer.cookies.consumeReply(reply, now)) return drop('bad-cookie');
    return { kind: 'cookie-stored', peer: peer.id };
  }

  #consumeInitiation(identity: Identity, message: Initiation, now: number): ConsumeOutcome {
    const consumed = consumeInitiation(this.#p, identity, message, (publicKey) =>
      this.#byKey.get(publicKey.join())?.remote(identity.privateKey),
    );
    if (typeof consumed === 'string') return drop(consumed);
    const { peer } = consumed.remote;
    let refusal: DropReason | null = null;
    if (peer.lastTimestampReceived !== null && !isAfter(consumed.timestamp, peer.lastTimestampReceived)) {
      refusal = 'replayed-timestamp';
    } else if (now - peer.lastInitiationAt <= INITIATION_FLOOD_INTERVAL) {
      refusal = 'flood';
    }
    if (refusal !== null) {
      consumed.symmetric.wipe();
      return drop(refusal);
    }
    const localIndex = this.#indices.allocate();
    const created = createResponse(this.#p, consumed, localIndex);
    if (created === 'zero-secret') {
      this.#indices.release(localIndex);
      return drop(created);
    }
    peer.lastTimestampReceived = Uint8Array.from(consumed.timestamp);
    peer.lastInitiationAt = now;
    this.#sent(peer, localIndex, created.message, now);
    const session = sessionOf(peer, localIndex, consumed.remoteIndex, created.keys, false, now);
    return { kind: 'response', peer: peer.id, message: created.message, session };
  }

  #consumeResponse(identity: Identity, message: Response, now: number): ConsumeOutcome {
    const peer = this.#initiations.get(message.receiver);
    if (peer === undefined || peer.state.step !== 'initiation-created') return drop('unknown-index');
    // Ours and the peer's crossed: its session serves by now, and a response kept back must not replace it later.
    if (peer.lastInitiationAt >= peer.initiatedAt && now - peer.initiatedAt > REKEY_TIMEOUT) {
      this.#abandon(peer);
      return drop('unknown-index');
    }
    const keys = consumeResponse(this.#p, identity, peer.remote(identity.privateKey), peer.state, message);
    if (typeof keys === 'string') return drop(keys);
    const { localIndex } = peer.state;
    // The index now names the session; whoever drops that releases it.
    this.#initiations.delete(localIndex);
    wipeHandshake(peer.state);
    peer.state = idle();
    const session = sessionOf(peer, localIndex, message.sender, keys, true, now);
    return { kind: 'established', peer: peer.id, session };
  }

  /** Book-keeping of every message that leaves for a peer. */
  #sent(peer: HandshakePeer, localIndex: number, message: Uint8Array, now: number): void {
    peer.cookies.addMacs(message, now);
    peer.lastSentAt = now;
    this.#forgetLastSent(peer);
    peer.lastSentIndex = localIndex;
    this.#lastSent.set(localIndex, peer);
  }

  #forgetLastSent(peer: HandshakePeer): void {
    // The index may have been released and drawn again for another peer meanwhile.
    if (peer.lastSentIndex !== null && this.#lastSent.get(peer.lastSentIndex) === peer) {
      this.#lastSent.delete(peer.lastSentIndex);
    }
    peer.lastSentIndex = null;
  }

  /** Back to idle: an unfinished initiation gives up its index and its secrets. */
  #abandon(peer: HandshakePeer): void {
    this.#forgetLastSent(peer);
    if (peer.state.step === 'idle') return;
    this.#initiations.delete(peer.state.localIndex);
    this.#indices.release(peer.state.localIndex);
    wipeHandshake(peer.state);
    peer.state = idle();
  }
}
