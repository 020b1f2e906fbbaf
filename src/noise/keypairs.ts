/**
 * The keypairs of all peers: a pool of slots in memory of the caller's, and the three slots of each peer.
 * Source: WireGuard paper §5.4.5, §6.2–6.3; kernel noise.c (add_new_keypair, wg_noise_received_with_keypair).
 *
 *     byte   0          32            64                                  1104
 *          | send key  | receive key | replay window (replay.ts)        |      a slot, 16-byte aligned
 *
 *     initiator done            responder done            first packet under `next`
 *     previous = next|current   previous = none           previous = current
 *     current  = NEW            next     = NEW            current  = next
 *     next     = none           (must not send with it)   next     = none
 *
 * What leaves the three slots is wiped and its index released, before a new one is taken; so a peer never holds more
 * than two slots, and a pool of twice the peers cannot run out.
 *
 * The send counter is a double, exact up to 2^53 - 1. Deviation from the paper: a keypair refuses to send there rather
 * than at 2^64 - 2^13 - 1, and asks for a new one at 2^52 rather than 2^60. At 100 million packets a second that is a
 * year and a half, and REKEY_AFTER_TIME is two minutes.
 * @module
 */
import { type ActionQueue, KEYPAIR_GONE } from './action-queue.ts';
import { KEY_SIZE, REJECT_AFTER_TIME } from './constants.ts';
import { growInt32, grownCapacity } from './growable.ts';
import { IndexTable } from './index-table.ts';
import { acceptCounter, REPLAY_WORDS, resetReplay } from './replay.ts';
import type { SessionKeys } from './session-keys.ts';

/** Offsets in a slot. */
export const SEND_KEY = 0;
export const RECEIVE_KEY: number = KEY_SIZE;
export const REPLAY: number = 2 * KEY_SIZE;
/** Bytes of a slot. */
export const KEYPAIR_SIZE: number = REPLAY + 4 * REPLAY_WORDS;

/** No counter from here on is ever used to send. */
export const SEND_LIMIT: number = Number.MAX_SAFE_INTEGER;
/** A new keypair is asked for from here on. */
export const SEND_REKEY: number = 2 ** 52;

export const NONE = -1;
/** A peer's three places. */
export const PREVIOUS = 0;
export const CURRENT = 1;
export const NEXT = 2;

export type Place = 0 | 1 | 2;

export class Keypairs {
  /** By slot. Read them freely; writing is for this class. */
  readonly peerOf: Int32Array;
  readonly localIndexOf: Uint32Array;
  readonly remoteIndexOf: Uint32Array;
  readonly createdAtOf: Float64Array;
  readonly sendCounterOf: Float64Array;
  readonly initiatorOf: Uint8Array;
  readonly capacity: number;
  /** Local index to slot. */
  readonly indices: IndexTable;
  readonly #memory: Uint8Array;
  readonly #words: Uint32Array;
  readonly #base: number;
  readonly #actions: ActionQueue;
  readonly #free: Int32Array;
  #freeCount: number;
  /** Three slots a peer: previous, current, next. */
  #slots = new Int32Array(0);

  /** `base` is a byte offset into `memory`, a multiple of 16, with `capacity` × KEYPAIR_SIZE bytes behind it. */
  constructor(memory: Uint8Array, base: number, capacity: number, actions: ActionQueue) {
    if ((memory.byteOffset + base) % 16 !== 0 || base + capacity * KEYPAIR_SIZE > memory.length) {
      throw new RangeError(`keypair pool: ${capacity} slots do not fit at ${base} of ${memory.length}`);
    }
    this.#memory = memory;
    this.#words = new Uint32Array(memory.buffer, memory.byteOffset, memory.length >>> 2);
    this.#base = base;
    this.#actions = actions;
    this.capacity = capacity;
    this.indices = new IndexTable();
    this.peerOf = new Int32Array(capacity).fill(NONE);
    this.localIndexOf = new Uint32Array(capacity);
    this.remoteIndexOf = new Uint32Array(capacity);
    this.createdAtOf = new Float64Array(capacity);
    this.sendCounterOf = new Float64Array(capacity);
    this.initiatorOf = new Uint8Array(capacity);
    this.#free = new Int32Array(capacity);
    for (let i = 0; i < capacity; i += 1) this.#free[i] = capacity - 1 - i;
    this.#freeCount = capacity;
  }

  ensurePeers(count: number): void {
    if (3 * count <= this.#slots.length) return;
    this.#slots = growInt32(this.#slots, 3 * grownCapacity(this.#slots.length / 3, count), NONE);
  }

  /** Slots that are not in use. */
  get free(): number {
    return this.#freeCount;
  }

  /** Byte offset in memory of the key the slot sends with. */
  sendKey(slot: number): number {
    return this.#base + slot * KEYPAIR_SIZE + SEND_KEY;
  }

  /** Byte offset in memory of the key the slot receives with. */
  receiveKey(slot: number): number {
    return this.#base + slot * KEYPAIR_SIZE + RECEIVE_KEY;
  }

  /** The replay window of the slot, to be read while nothing is received. */
  replayWindow(slot: number): Uint32Array {
    const at = this.#replayWord(slot);
    return this.#words.subarray(at, at + REPLAY_WORDS);
  }

  /** Slot of the peer at a place, or NONE. */
  at(peer: number, place: Place): number {
    return this.#slots[3 * peer + place] as number;
  }

  previous(peer: number): number {
    return this.#slots[3 * peer + PREVIOUS] as number;
  }

  current(peer: number): number {
    return this.#slots[3 * peer + CURRENT] as number;
  }

  next(peer: number): number {
    return this.#slots[3 * peer + NEXT] as number;
  }

  /** The slot a datagram with this receiver index was sealed for, or NONE when there is none or it is too old. */
  find(localIndex: number, now: number): number {
    const slot = this.indices.get(localIndex);
    if (slot === NONE || now - (this.createdAtOf[slot] as number) >= REJECT_AFTER_TIME) return NONE;
    return slot;
  }

  /** The peer's current slot if it may still send, or NONE. */
  usable(peer: number, now: number): number {
    const slot = this.#slots[3 * peer + CURRENT] as number;
    if (slot === NONE) return NONE;
    if (now - (this.createdAtOf[slot] as number) >= REJECT_AFTER_TIME) return NONE;
    return (this.sendCounterOf[slot] as number) >= SEND_LIMIT ? NONE : slot;
  }

  /** Takes `count` counters and returns the first, or -1: then the slot is used up for good and nothing was taken. */
  reserve(slot: number, count: number): number {
    const first = this.sendCounterOf[slot] as number;
    if (first + count > SEND_LIMIT) {
      this.sendCounterOf[slot] = SEND_LIMIT;
      return -1;
    }
    this.sendCounterOf[slot] = first + count;
    return first;
  }

  /** Replay check of a packet whose tag held. */
  accept(slot: number, high: number, low: number): boolean {
    return acceptCounter(this.#words, this.#replayWord(slot), high, low);
  }

  /** Takes over a finished handshake and wipes the caller's copy of the keys; NONE when the pool is used up. */
  install(keys: SessionKeys): number {
    const at = 3 * keys.peer;
    const slots = this.#slots;
    if (keys.isInitiator) {
      const next = slots[at + NEXT] as number;
      this.#delete(at + PREVIOUS);
      if (next === NONE) slots[at + PREVIOUS] = slots[at + CURRENT] as number;
      else {
        slots[at + PREVIOUS] = next;
        slots[at + NEXT] = NONE;
        this.#delete(at + CURRENT);
      }
      slots[at + CURRENT] = this.#take(keys);
      return slots[at + CURRENT] as number;
    }
    this.#delete(at + NEXT);
    this.#delete(at + PREVIOUS);
    slots[at + NEXT] = this.#take(keys);
    return slots[at + NEXT] as number;
  }

  /**
   * Puts a keypair of another life where it was, as far as it had come, and wipes the caller's copy of the keys. Words
   * of the replay window that are not given are zero. NONE when the pool is used up.
   */
  restore(keys: SessionKeys, place: Place, sendCounter: number, replay: Uint32Array): number {
    const at = 3 * keys.peer + place;
    this.#delete(at);
    const slot = this.#take(keys);
    this.#slots[at] = slot;
    if (slot === NONE) return NONE;
    this.sendCounterOf[slot] = sendCounter;
    this.#words.set(replay, this.#replayWord(slot));
    return slot;
  }

  /** A packet was accepted under this slot. True when that made `next` the current one: the handshake is confirmed. */
  promote(slot: number): boolean {
    const at = 3 * (this.peerOf[slot] as number);
    const slots = this.#slots;
    if (slots[at + NEXT] !== slot) return false;
    this.#delete(at + PREVIOUS);
    slots[at + PREVIOUS] = slots[at + CURRENT] as number;
    slots[at + CURRENT] = slot;
    slots[at + NEXT] = NONE;
    return true;
  }

  /** The private key changed: current and next keep receiving until they expire, and never send again. */
  expireSending(peer: number): void {
    const current = this.current(peer);
    const next = this.next(peer);
    if (current !== NONE) this.sendCounterOf[current] = SEND_LIMIT;
    if (next !== NONE) this.sendCounterOf[next] = SEND_LIMIT;
  }

  /** Wipes and gives back everything the peer has. */
  clear(peer: number): void {
    this.#delete(3 * peer + PREVIOUS);
    this.#delete(3 * peer + CURRENT);
    this.#delete(3 * peer + NEXT);
  }

  #replayWord(slot: number): number {
    return (this.#base + slot * KEYPAIR_SIZE + REPLAY) >>> 2;
  }

  #take(keys: SessionKeys): number {
    let slot = NONE;
    if (this.#freeCount > 0) {
      this.#freeCount -= 1;
      slot = this.#free[this.#freeCount] as number;
      this.#memory.set(keys.sendKey, this.sendKey(slot));
      this.#memory.set(keys.receiveKey, this.receiveKey(slot));
      resetReplay(this.#words, this.#replayWord(slot));
      this.peerOf[slot] = keys.peer;
      this.localIndexOf[slot] = keys.localIndex;
      this.remoteIndexOf[slot] = keys.remoteIndex;
      this.createdAtOf[slot] = keys.createdAt;
      this.sendCounterOf[slot] = 0;
      this.initiatorOf[slot] = keys.isInitiator ? 1 : 0;
      this.indices.set(keys.localIndex, slot);
    } else this.#actions.push(KEYPAIR_GONE, keys.localIndex);
    keys.sendKey.fill(0);
    keys.receiveKey.fill(0);
    return slot;
  }

  #delete(at: number): void {
    const slot = this.#slots[at] as number;
    if (slot === NONE) return;
    this.#slots[at] = NONE;
    const localIndex = this.localIndexOf[slot] as number;
    this.indices.delete(localIndex);
    const start = this.sendKey(slot);
    this.#memory.fill(0, start, start + KEYPAIR_SIZE);
    this.peerOf[slot] = NONE;
    this.sendCounterOf[slot] = SEND_LIMIT;
    this.#free[this.#freeCount] = slot;
    this.#freeCount += 1;
    this.#actions.push(KEYPAIR_GONE, localIndex);
  }
}
