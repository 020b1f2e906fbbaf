/**
 * The transport side of a device: many peers' sessions, timers, staged packets, endpoints and counters, with no I/O.
 * Source: WireGuard paper §5.4.6, §6; kernel send.c, receive.c, timers.c, peer.c for the order of things.
 *
 * Whoever moves the packets calls it; it never calls back. What it wants done it puts into `actions`, to be drained
 * after each batch and after `expire`. A peer is a small number that the caller chose.
 *
 *     out   routeOut → usableKeypair ─┬─ slot: reserve → seal, send → sent
 *                                     └─ NONE: stage                     (asks for a handshake)
 *     in    receiveKeypair → open the tag → opened ─┬─ < 0: drop
 *                                                   └─ acceptInner → …, after the batch: roam, received
 *     time  sleep until nextDeadline → expire → drain actions
 *
 * Handshake messages are somebody else's (handshaker.ts), who tells of each: handshakeReceived, then installKeypair for a
 * session it gave, then initiationSent or responseSent. A message that could not be sent is told with 0 bytes.
 * @module
 */
import {
  ActionQueue,
  FLUSH_STAGED,
  HANDSHAKE_STALE,
  INITIATE,
  INITIATE_RETRY,
  KEEPALIVE,
  KEYPAIR_GONE,
  ROAMED,
} from './action-queue.ts';
import { AllowedIps, NO_PEER } from './allowed-ips.ts';
import { REKEY_AFTER_TIME, REKEY_ON_RECEIVE_AFTER, REKEY_TIMEOUT } from './constants.ts';
import { hasHeader, MALFORMED, packetLength } from './inner-packet.ts';
import { Keypairs, NONE, SEND_REKEY } from './keypairs.ts';
import { PeerTable } from './peer-table.ts';
import type { SessionKeys } from './session-keys.ts';
import { Staged } from './staged.ts';
import {
  GAVE_UP,
  HANDSHAKE_DUE,
  KEEPALIVE_DUE,
  NOTHING_DUE,
  RETRY_DUE,
  Timers,
  ZERO_KEYS_DUE,
} from './timers.ts';
import {
  ACCEPTED,
  CONFIRMED,
  NO_ROUTE,
  REPLAYED,
  type TransportOptions,
  WRONG_SOURCE,
} from './transport-types.ts';

export { MALFORMED } from './inner-packet.ts';
export { NONE } from './keypairs.ts';
export {
  ACCEPTED,
  CONFIRMED,
  layOut,
  NO_ROUTE,
  REPLAYED,
  type TransportOptions,
  WRONG_SOURCE,
} from './transport-types.ts';

export class Transport {
  readonly actions: ActionQueue = new ActionQueue();
  readonly allowedIps: AllowedIps = new AllowedIps();
  readonly keypairs: Keypairs;
  readonly timers: Timers;
  readonly staged: Staged;
  /** Wall clock minus monotonic clock in ms; the caller keeps it right. It dates handshakes for people to read. */
  wallOffset = 0;
  readonly peers: PeerTable;
  #isUp = false;

  constructor(options: TransportOptions) {
    const { memory } = options;
    this.peers = new PeerTable(memory, options.endpoints, options.maxPeers);
    this.keypairs = new Keypairs(memory, options.keypairs, options.keypairSlots, this.actions);
    this.staged = new Staged(memory, options.staged, options.stagedSize, options.stagedLimits);
    this.timers = new Timers(options.random);
  }

  /* ---- Configuration ---- */

  get isUp(): boolean {
    return this.#isUp;
  }

  hasPeer(peer: number): boolean {
    return this.peers.has(peer);
  }

  /** A new peer, with nothing known of it. Throws RangeError beyond maxPeers. */
  addPeer(peer: number): void {
    this.peers.add(peer);
    const { limit } = this.peers;
    this.actions.ensurePeers(limit);
    this.keypairs.ensurePeers(limit);
    this.staged.ensurePeers(limit);
    this.timers.ensurePeers(limit);
    this.timers.setKeepaliveInterval(peer, 0);
  }

  /** Forgets the peer: allowed IPs first, so that nothing is routed to it any more, then timers, packets and keys. */
  removePeer(peer: number): void {
    if (!this.hasPeer(peer)) return;
    this.allowedIps.removePeer(peer);
    this.#stop(peer);
    this.timers.setKeepaliveInterval(peer, 0);
    this.peers.remove(peer);
  }

  /** Persistent keepalive in seconds, 0 to turn it off; turned on, it sends one at once. */
  setKeepalive(peer: number, seconds: number, now: number): void {
    if (!this.hasPeer(peer)) return;
    const before = this.timers.keepaliveInterval(peer);
    this.timers.setKeepaliveInterval(peer, seconds);
    if (this.#isUp && before === 0 && seconds > 0) this.#requestKeepalive(peer, now);
  }

  /** Endpoint by configuration: a sockaddr of 16 or 28 bytes. A remembered source address is forgotten. */
  setEndpoint(peer: number, address: Uint8Array): void {
    if (!this.hasPeer(peer)) return;
    // Initiations so far went nowhere; the first real one need not wait for the spacing.
    if (!this.hasEndpoint(peer)) this.peers.allowHandshakeNow(peer);
    this.peers.setEndpoint(peer, address);
  }

  /** Where the peer's endpoint record (peer-table.ts) lies in memory. */
  endpointOffset(peer: number): number {
    return this.peers.endpointOffset(peer);
  }

  hasEndpoint(peer: number): boolean {
    return this.peers.hasEndpoint(peer);
  }

  /** Endpoint by an authenticated packet: copies a record of ENDPOINT_SIZE bytes. */
  roam(peer: number, source: Uint8Array, offset: number): void {
    if (this.peers.roam(peer, source, offset)) this.actions.push(ROAMED, peer);
  }

  /** Forgets the local address to answer from: the system shall choose anew. */
  clearSource(peer: number): void {
    this.peers.clearSource(peer);
  }

  /** The same for all peers: port, mark or routes changed. */
  clearSources(): void {
    for (let peer = 0; peer < this.peers.limit; peer += 1) this.peers.clearSource(peer);
  }

  /** The device came up: peers with a persistent keepalive say so at once. */
  deviceUp(now: number): void {
    if (this.#isUp) return;
    this.#isUp = true;
    for (let peer = 0; peer < this.peers.limit; peer += 1) {
      if (this.peers.has(peer) && this.timers.keepaliveInterval(peer) > 0) this.#requestKeepalive(peer, now);
    }
  }

  /** The device went down: no timers, no staged packets, no keys. Peers, endpoints and counters stay. */
  deviceDown(): void {
    this.#isUp = false;
    for (let peer = 0; peer < this.peers.limit; peer += 1) if (this.peers.has(peer)) this.#stop(peer);
  }

  /** The private key changed: sessions still receive, but nothing more is sent with them. */
  invalidateKeys(): void {
    for (let peer = 0; peer < this.peers.limit; peer += 1) {
      if (!this.peers.has(peer)) continue;
      this.keypairs.expireSending(peer);
      this.peers.allowHandshakeNow(peer);
    }
  }

  /* ---- Counters ---- */

  txBytes(peer: number): number {
    return this.peers.txBytes(peer);
  }

  rxBytes(peer: number): number {
    return this.peers.rxBytes(peer);
  }

  /* ---- Handshake messages, done elsewhere ---- */

  /** A valid initiation or response of `bytes` came from the peer. */
  handshakeReceived(peer: number, bytes: number, now: number): void {
    if (!this.#isActive(peer)) return;
    this.peers.countRx(peer, bytes);
    this.timers.anyTraversal(peer, now);
    this.timers.anyReceived(peer);
  }

  /** An initiation was sent, or could not be: then with 0 bytes. Either way it is tried again later. */
  initiationSent(peer: number, bytes: number, now: number): void {
    if (!this.#isActive(peer)) return;
    this.#handshakeSent(peer, bytes, now);
    this.timers.initiationSent(peer, now);
  }

  /** A response was sent. */
  responseSent(peer: number, bytes: number, now: number): void {
    if (this.#isActive(peer)) this.#handshakeSent(peer, bytes, now);
  }

  /**
   * Takes over the keys of a finished handshake, wiping the caller's copy. Returns the slot, or NONE when the peer is
   * gone meanwhile or the pool is used up; the index is then given back by KEYPAIR_GONE.
   */
  installKeypair(keys: SessionKeys, now: number): number {
    const { peer } = keys;
    if (!this.#isActive(peer)) {
      keys.sendKey.fill(0);
      keys.receiveKey.fill(0);
      this.actions.push(KEYPAIR_GONE, keys.localIndex);
      return NONE;
    }
    const slot = this.keypairs.install(keys);
    this.timers.sessionDerived(peer, now);
    if (keys.isInitiator && slot !== NONE) {
      this.#handshakeComplete(peer, now);
      // The responder may not send before it saw a packet under the new key; an empty one will do.
      this.actions.push(this.staged.count(peer) > 0 ? FLUSH_STAGED : KEEPALIVE, peer);
    }
    return slot;
  }

  /** Somebody needs a session with the peer. Asks for an initiation unless one was sent or asked for just now. */
  requestHandshake(peer: number, now: number): void {
    if (!this.#isActive(peer)) return;
    this.timers.restartAttempts(peer);
    if (now - this.peers.lastSent(peer) < REKEY_TIMEOUT) return;
    if (this.peers.isRequested(peer, now)) return;
    this.peers.handshakeRequested(peer, now);
    this.actions.push(INITIATE, peer);
  }

  /* ---- Packets out ---- */

  /** The peer for an IP packet from the TUN, or MALFORMED or NO_ROUTE. */
  routeOut(bytes: Uint8Array, offset: number, length: number): number {
    if (!hasHeader(bytes, offset, length)) return MALFORMED;
    const peer = this.allowedIps.lookupDestination(bytes, offset);
    return peer === NO_PEER ? NO_ROUTE : peer;
  }

  /** The slot to send with, or NONE: then stage the packet. */
  usableKeypair(peer: number, now: number): number {
    return this.keypairs.usable(peer, now);
  }

  /** The first of `count` counters of the slot, or -1: the slot is used up; stage the packets. */
  reserve(slot: number, count: number): number {
    return this.keypairs.reserve(slot, count);
  }

  /** Keeps a packet until it can be sent, and sees to that. False when the packet was dropped. */
  stage(peer: number, bytes: Uint8Array, offset: number, length: number, now: number): boolean {
    if (!this.#isActive(peer)) return this.staged.refuse();
    const kept = this.staged.push(peer, bytes, offset, length);
    this.sendStaged(peer, now);
    return kept;
  }

  /** Has what is staged sent, or asks for the session it needs; call it when the peer's configuration changed. */
  sendStaged(peer: number, now: number): void {
    if (!this.#isActive(peer) || this.staged.count(peer) === 0) return;
    if (this.keypairs.usable(peer, now) === NONE) this.requestHandshake(peer, now);
    else this.actions.push(FLUSH_STAGED, peer);
  }

  /** Moves the peer's oldest staged packet to `target` and returns its length; -1 when there is none. */
  unstage(peer: number, target: Uint8Array, offset: number): number {
    return this.staged.shift(peer, target, offset);
  }

  /** A batch left for the peer: `bytes` of UDP payload in all; `hadData`: not only keepalives. */
  sent(peer: number, bytes: number, hadData: boolean, now: number): void {
    this.peers.countTx(peer, bytes);
    if (!this.#isActive(peer)) return;
    this.timers.anyTraversal(peer, now);
    this.timers.anySent(peer);
    if (hadData) this.timers.dataSent(peer, now);
    this.#keepKeyFreshSending(peer, now);
  }

  /* ---- Packets in ---- */

  /** The slot of a datagram's receiver index, or NONE: no such session, or it is too old. */
  receiveKeypair(localIndex: number, now: number): number {
    return this.keypairs.find(localIndex, now);
  }

  /** The tag of a packet held under this slot: ACCEPTED, CONFIRMED or REPLAYED. */
  opened(slot: number, counterHigh: number, counterLow: number, now: number): number {
    if (!this.keypairs.accept(slot, counterHigh, counterLow)) return REPLAYED;
    if (!this.keypairs.promote(slot)) return ACCEPTED;
    const peer = this.keypairs.peerOf[slot] as number;
    this.#handshakeComplete(peer, now);
    if (this.staged.count(peer) > 0) this.actions.push(FLUSH_STAGED, peer);
    return CONFIRMED;
  }

  /** Length without padding of an opened packet that is not empty, or MALFORMED or WRONG_SOURCE. */
  acceptInner(peer: number, bytes: Uint8Array, offset: number, length: number): number {
    const total = packetLength(bytes, offset, length);
    if (total === MALFORMED) return MALFORMED;
    return this.allowedIps.lookupSource(bytes, offset) === peer ? total : WRONG_SOURCE;
  }

  /** A batch of accepted packets came from the peer: `bytes` of UDP payload; `hadData`: not only keepalives. */
  received(peer: number, bytes: number, hadData: boolean, now: number): void {
    this.peers.countRx(peer, bytes);
    if (!this.#isActive(peer)) return;
    this.#keepKeyFreshReceiving(peer, now);
    this.timers.anyTraversal(peer, now);
    this.timers.anyReceived(peer);
    if (hadData) this.timers.dataReceived(peer, now);
  }

  /* ---- Time ---- */

  /** When `expire` next has something to do, Infinity when never. */
  nextDeadline(): number {
    return this.timers.nextDeadline();
  }

  /** Does everything that is due by now; then drain `actions`. */
  expire(now: number): void {
    for (;;) {
      const event = this.timers.expire(now);
      if (event === NOTHING_DUE) return;
      const { peer } = this.timers;
      switch (event) {
        case RETRY_DUE:
          this.clearSource(peer);
          this.peers.handshakeRequested(peer, now);
          this.actions.push(INITIATE_RETRY, peer);
          break;
        case GAVE_UP:
          this.staged.clear(peer);
          break;
        case KEEPALIVE_DUE:
          this.#requestKeepalive(peer, now);
          break;
        case HANDSHAKE_DUE:
          this.clearSource(peer);
          this.requestHandshake(peer, now);
          break;
        case ZERO_KEYS_DUE:
          this.keypairs.clear(peer);
          // What was begun just now is not out of date: after a machine's sleep all of this is due in one turn.
          if (this.timers.isHandshaking(peer) || this.peers.isRequested(peer, now)) {
            this.timers.sessionDerived(peer, now);
            break;
          }
          this.staged.clear(peer);
          this.actions.push(HANDSHAKE_STALE, peer);
          break;
      }
    }
  }

  /* ---- */

  #isActive(peer: number): boolean {
    return this.#isUp && this.hasPeer(peer);
  }

  #stop(peer: number): void {
    this.timers.stop(peer);
    this.staged.clear(peer);
    this.keypairs.clear(peer);
    this.peers.allowHandshakeNow(peer);
  }

  #handshakeSent(peer: number, bytes: number, now: number): void {
    this.peers.handshakeSent(peer, now);
    this.peers.countTx(peer, bytes);
    this.timers.anyTraversal(peer, now);
    this.timers.anySent(peer);
  }

  #handshakeComplete(peer: number, now: number): void {
    this.timers.handshakeComplete(peer);
    this.peers.handshakeCompleted(peer, this.wallOffset + now);
  }

  /** An empty packet, unless packets wait that say the same; without a session, the handshake says it. */
  #requestKeepalive(peer: number, now: number): void {
    if (this.keypairs.usable(peer, now) === NONE) this.requestHandshake(peer, now);
    else this.actions.push(this.staged.count(peer) > 0 ? FLUSH_STAGED : KEEPALIVE, peer);
  }

  #keepKeyFreshSending(peer: number, now: number): void {
    const slot = this.keypairs.current(peer);
    if (slot === NONE) return;
    const { sendCounterOf, initiatorOf, createdAtOf } = this.keypairs;
    const isUsed = (sendCounterOf[slot] as number) > SEND_REKEY;
    const isOld = initiatorOf[slot] === 1 && now - (createdAtOf[slot] as number) > REKEY_AFTER_TIME;
    if (isUsed || isOld) this.requestHandshake(peer, now);
  }

  /** Once per session, at the last moment at which a new one is ready before this one ends. */
  #keepKeyFreshReceiving(peer: number, now: number): void {
    const slot = this.keypairs.current(peer);
    if (slot === NONE || this.keypairs.initiatorOf[slot] !== 1) return;
    if (now - (this.keypairs.createdAtOf[slot] as number) <= REKEY_ON_RECEIVE_AFTER) return;
    if (this.timers.claimLastMinute(peer)) this.requestHandshake(peer, now);
  }
}
