/**
 * What is known of each peer apart from its sessions: where it is, what went to and fro, when it was last spoken to.
 * Source: WireGuard paper §2.1 (endpoints and roaming); kernel peer.h (endpoint, counters), ipi_spec_dst of ip(7).
 *
 * Endpoints lie in memory of the caller's, so that a message header can point at them:
 *
 *     0        28   29   30       32                 52        64
 *     | sockaddr | len | plen |    | in(6)_pktinfo     |        |
 *
 * len: length of the socket address, 0: unknown. plen: length of the packet information, the local address to answer
 * from ("sticky source"), 0: let the system choose. What the bytes mean is between the caller and the system.
 * @module
 */
import { growFloat64, grownCapacity } from './growable.ts';

export const ENDPOINT_SIZE = 64;
const ENDPOINT_LENGTH = 28;
const ENDPOINT_SOURCE_LENGTH = 29;

/* A peer's record of doubles. */
const RECORD = 5;
const TX_BYTES = 0;
const RX_BYTES = 1;
/** Wall clock, 0: never. */
const LAST_HANDSHAKE = 2;
const LAST_SENT = 3;
const LAST_REQUESTED = 4;
const LONG_AGO = Number.NEGATIVE_INFINITY;

/** While a request is on its way to the thread that does handshakes, packets do not repeat it. */
const REQUEST_INTERVAL = 100;

export class PeerTable {
  /** One more than the highest peer ever added. */
  limit = 0;
  readonly #memory: Uint8Array;
  readonly #endpoints: number;
  readonly #exists: Uint8Array;
  #records = new Float64Array(0);

  /** `endpoints`: offset of maxPeers records of ENDPOINT_SIZE bytes in `memory`. */
  constructor(memory: Uint8Array, endpoints: number, maxPeers: number) {
    if (endpoints + maxPeers * ENDPOINT_SIZE > memory.length) {
      throw new RangeError(`endpoints: ${maxPeers} records do not fit at ${endpoints} of ${memory.length}`);
    }
    this.#memory = memory;
    this.#endpoints = endpoints;
    this.#exists = new Uint8Array(maxPeers);
  }

  has(peer: number): boolean {
    return this.#exists[peer] === 1;
  }

  /** A peer of which nothing is known yet. Throws RangeError beyond maxPeers. */
  add(peer: number): void {
    if (!Number.isInteger(peer) || peer < 0 || peer >= this.#exists.length) {
      throw new RangeError(`"peer" expected 0 to ${this.#exists.length - 1}, got ${peer}`);
    }
    if (peer >= this.limit) this.limit = peer + 1;
    if (RECORD * this.limit > this.#records.length) {
      const capacity = grownCapacity(this.#records.length / RECORD, this.limit);
      this.#records = growFloat64(this.#records, RECORD * capacity, 0);
    }
    this.#exists[peer] = 1;
    this.#records.fill(0, RECORD * peer, RECORD * (peer + 1));
    this.allowHandshakeNow(peer);
    const endpoint = this.endpointOffset(peer);
    this.#memory.fill(0, endpoint, endpoint + ENDPOINT_SIZE);
  }

  remove(peer: number): void {
    this.#exists[peer] = 0;
  }

  /* ---- Endpoint ---- */

  endpointOffset(peer: number): number {
    return this.#endpoints + peer * ENDPOINT_SIZE;
  }

  hasEndpoint(peer: number): boolean {
    return this.#memory[this.endpointOffset(peer) + ENDPOINT_LENGTH] !== 0;
  }

  setEndpoint(peer: number, address: Uint8Array): void {
    if (address.length > ENDPOINT_LENGTH) {
      throw new RangeError(`"address" expected up to ${ENDPOINT_LENGTH} bytes, got ${address.length}`);
    }
    const at = this.endpointOffset(peer);
    this.#memory.fill(0, at, at + ENDPOINT_SIZE);
    this.#memory.set(address, at);
    this.#memory[at + ENDPOINT_LENGTH] = address.length;
  }

  /** Copies a record; true when the address differs from the one before, whatever the sticky source does. */
  roam(peer: number, source: Uint8Array, offset: number): boolean {
    const at = this.endpointOffset(peer);
    let changed = false;
    for (let i = 0; i < ENDPOINT_SIZE; i += 1) {
      const byte = source[offset + i] as number;
      if (this.#memory[at + i] === byte) continue;
      this.#memory[at + i] = byte;
      if (i <= ENDPOINT_LENGTH) changed = true;
    }
    return changed;
  }

  clearSource(peer: number): void {
    const at = this.endpointOffset(peer);
    this.#memory.fill(0, at + ENDPOINT_SOURCE_LENGTH, at + ENDPOINT_SIZE);
  }

  /* ---- Counters ---- */

  txBytes(peer: number): number {
    return this.#records[RECORD * peer + TX_BYTES] as number;
  }

  rxBytes(peer: number): number {
    return this.#records[RECORD * peer + RX_BYTES] as number;
  }

  countTx(peer: number, bytes: number): void {
    const at = RECORD * peer + TX_BYTES;
    this.#records[at] = (this.#records[at] as number) + bytes;
  }

  countRx(peer: number, bytes: number): void {
    const at = RECORD * peer + RX_BYTES;
    this.#records[at] = (this.#records[at] as number) + bytes;
  }

  /* ---- Handshake times ---- */

  /** Wall clock in ms of the last completed handshake, 0: never. */
  lastHandshake(peer: number): number {
    return this.#records[RECORD * peer + LAST_HANDSHAKE] as number;
  }

  handshakeCompleted(peer: number, wallNow: number): void {
    this.#records[RECORD * peer + LAST_HANDSHAKE] = wallNow;
  }

  /** When the last initiation or response was sent. */
  lastSent(peer: number): number {
    return this.#records[RECORD * peer + LAST_SENT] as number;
  }

  handshakeSent(peer: number, now: number): void {
    this.#records[RECORD * peer + LAST_SENT] = now;
  }

  /** When an initiation was last asked for. */
  lastRequested(peer: number): number {
    return this.#records[RECORD * peer + LAST_REQUESTED] as number;
  }

  /** One was asked for just now. */
  isRequested(peer: number, now: number): boolean {
    return now - this.lastRequested(peer) < REQUEST_INTERVAL;
  }

  handshakeRequested(peer: number, now: number): void {
    this.#records[RECORD * peer + LAST_REQUESTED] = now;
  }

  /** Peer new, device down or key changed: the next initiation need not keep its distance. */
  allowHandshakeNow(peer: number): void {
    this.#records[RECORD * peer + LAST_SENT] = LONG_AGO;
    this.#records[RECORD * peer + LAST_REQUESTED] = LONG_AGO;
  }
}
