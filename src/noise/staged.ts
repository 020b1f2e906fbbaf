/**
 * Packets that wait for a session: a FIFO per peer, bounded in packets and bytes, in one slab of the device.
 * Source: kernel queueing.h MAX_STAGED_PACKETS (128, oldest dropped first); the bound in bytes is ours, because a
 * staged packet may be a 64 KiB segmentation burst and one dead peer must not pin the memory of all.
 *
 * The slab is cut into blocks; a packet is a chain of blocks, a peer's FIFO a chain of packets. All packets also hang in
 * one chain by age: when the slab is full the oldest of the device makes room, which is the head of its peer's FIFO.
 *
 *     peer 7   head ─► [first block]─►[block]      packet, `length` at its first block
 *                          │ nextPacket
 *              tail ─► [first block]
 * @module
 */
import { growInt32, grownCapacity } from './growable.ts';

export const STAGED_PACKETS_PER_PEER = 128;
export const STAGED_BYTES_PER_PEER: number = 256 * 1024;
const BLOCK = 1024;
const NONE = -1;

export interface StagedLimits {
  readonly packetsPerPeer?: number;
  readonly bytesPerPeer?: number;
}

export class Staged {
  /** Packets dropped so far, for whatever reason but being taken. */
  dropped = 0;
  readonly #slab: Uint8Array;
  readonly #base: number;
  readonly #blocks: number;
  readonly #packetsPerPeer: number;
  readonly #bytesPerPeer: number;
  /** By block: the next block of the packet, or of the free list. */
  readonly #nextBlock: Int32Array;
  /** By first block of a packet. */
  readonly #length: Int32Array;
  readonly #nextPacket: Int32Array;
  readonly #peerOf: Int32Array;
  readonly #younger: Int32Array;
  readonly #older: Int32Array;
  #freeHead = NONE;
  #freeCount = 0;
  /** Blocks never used yet: their memory has not been touched, and the system has not given it to us. */
  #fresh = 0;
  #oldest = NONE;
  #youngest = NONE;
  /** By peer. */
  #head = new Int32Array(0);
  #tail = new Int32Array(0);
  #count = new Int32Array(0);
  #bytes = new Int32Array(0);

  /** The packets lie in `size` bytes of `memory` from `base` on. */
  constructor(memory: Uint8Array, base: number, size: number, limits: StagedLimits = {}) {
    this.#slab = memory;
    this.#base = base;
    this.#blocks = Math.floor(size / BLOCK);
    this.#packetsPerPeer = limits.packetsPerPeer ?? STAGED_PACKETS_PER_PEER;
    this.#bytesPerPeer = limits.bytesPerPeer ?? STAGED_BYTES_PER_PEER;
    this.#nextBlock = new Int32Array(this.#blocks);
    this.#length = new Int32Array(this.#blocks);
    this.#nextPacket = new Int32Array(this.#blocks);
    this.#peerOf = new Int32Array(this.#blocks);
    this.#younger = new Int32Array(this.#blocks);
    this.#older = new Int32Array(this.#blocks);
  }

  ensurePeers(count: number): void {
    if (count <= this.#head.length) return;
    const capacity = grownCapacity(this.#head.length, count);
    this.#head = growInt32(this.#head, capacity, NONE);
    this.#tail = growInt32(this.#tail, capacity, NONE);
    this.#count = growInt32(this.#count, capacity, 0);
    this.#bytes = growInt32(this.#bytes, capacity, 0);
  }

  /** Packets waiting for the peer. */
  count(peer: number): number {
    return this.#count[peer] as number;
  }

  /** Bytes waiting for the peer. */
  bytes(peer: number): number {
    return this.#bytes[peer] as number;
  }

  /** Length of the peer's oldest packet, -1 when there is none. */
  peekLength(peer: number): number {
    const first = this.#head[peer] as number;
    return first === NONE ? -1 : (this.#length[first] as number);
  }

  /** Counts a packet that is not kept. */
  refuse(): false {
    this.dropped += 1;
    return false;
  }

  /** Bytes that are taken, in whole blocks. */
  get usedBytes(): number {
    return (this.#fresh - this.#freeCount) * BLOCK;
  }

  /** Copies a packet in, dropping older ones of the peer, then of the device, to make room; false when it never fits. */
  push(peer: number, source: Uint8Array, offset: number, length: number): boolean {
    const need = length <= BLOCK ? 1 : Math.ceil(length / BLOCK);
    if (length > this.#bytesPerPeer || need > this.#blocks || this.#packetsPerPeer < 1) {
      return this.refuse();
    }
    while (
      (this.#count[peer] as number) >= this.#packetsPerPeer ||
      (this.#bytes[peer] as number) + length > this.#bytesPerPeer
    ) {
      this.#dropOldest(peer);
    }
    while (this.#freeCount + this.#blocks - this.#fresh < need)
      this.#dropOldest(this.#peerOf[this.#oldest] as number);
    let first = NONE;
    let last = NONE;
    for (let at = 0, i = 0; i < need; i += 1, at += BLOCK) {
      const block = this.#takeBlock();
      const part = Math.min(BLOCK, length - at);
      const target = this.#base + block * BLOCK;
      copy(source, offset + at, this.#slab, target, part);
      if (first === NONE) first = block;
      else this.#nextBlock[last] = block;
      last = block;
    }
    this.#nextBlock[last] = NONE;
    this.#length[first] = length;
    this.#link(peer, first);
    return true;
  }

  /** Moves the peer's oldest packet to `target` and returns its length; -1 when there is none. */
  shift(peer: number, target: Uint8Array, offset: number): number {
    const first = this.#head[peer] as number;
    if (first === NONE) return -1;
    const length = this.#length[first] as number;
    let block = first;
    for (let at = 0; at < length; at += BLOCK) {
      copy(this.#slab, this.#base + block * BLOCK, target, offset + at, Math.min(BLOCK, length - at));
      block = this.#nextBlock[block] as number;
    }
    this.#unlink(peer);
    return length;
  }

  /** Shows each of the peer's packets, the oldest first, and leaves them where they are. The bytes are a copy. */
  each(peer: number, show: (packet: Uint8Array) => void): void {
    for (let i = 0, first = this.#head[peer] as number; i < this.count(peer); i += 1) {
      const packet = new Uint8Array(this.#length[first] as number);
      let block = first;
      for (let at = 0; at < packet.length; at += BLOCK) {
        copy(this.#slab, this.#base + block * BLOCK, packet, at, Math.min(BLOCK, packet.length - at));
        block = this.#nextBlock[block] as number;
      }
      show(packet);
      packet.fill(0);
      first = this.#nextPacket[first] as number;
    }
  }

  /** Drops everything that waits for the peer and returns how many packets that were. */
  clear(peer: number): number {
    const count = this.#count[peer] as number;
    for (let i = 0; i < count; i += 1) this.#dropOldest(peer);
    return count;
  }

  #dropOldest(peer: number): void {
    this.dropped += 1;
    this.#unlink(peer);
  }

  #link(peer: number, first: number): void {
    this.#peerOf[first] = peer;
    this.#nextPacket[first] = NONE;
    const tail = this.#tail[peer] as number;
    if (tail === NONE) this.#head[peer] = first;
    else this.#nextPacket[tail] = first;
    this.#tail[peer] = first;
    this.#count[peer] = (this.#count[peer] as number) + 1;
    this.#bytes[peer] = (this.#bytes[peer] as number) + (this.#length[first] as number);
    this.#younger[first] = NONE;
    this.#older[first] = this.#youngest;
    if (this.#youngest === NONE) this.#oldest = first;
    else this.#younger[this.#youngest] = first;
    this.#youngest = first;
  }

  /** Takes the peer's oldest packet out of both chains and gives its blocks back. */
  #unlink(peer: number): void {
    const first = this.#head[peer] as number;
    const next = this.#nextPacket[first] as number;
    this.#head[peer] = next;
    if (next === NONE) this.#tail[peer] = NONE;
    this.#count[peer] = (this.#count[peer] as number) - 1;
    this.#bytes[peer] = (this.#bytes[peer] as number) - (this.#length[first] as number);
    const older = this.#older[first] as number;
    const younger = this.#younger[first] as number;
    if (older === NONE) this.#oldest = younger;
    else this.#younger[older] = younger;
    if (younger === NONE) this.#youngest = older;
    else this.#older[younger] = older;
    for (let block = first; block !== NONE; ) {
      const following = this.#nextBlock[block] as number;
      this.#nextBlock[block] = this.#freeHead;
      this.#freeHead = block;
      this.#freeCount += 1;
      block = following;
    }
  }

  #takeBlock(): number {
    const block = this.#freeHead;
    if (block === NONE) {
      this.#fresh += 1;
      return this.#fresh - 1;
    }
    this.#freeHead = this.#nextBlock[block] as number;
    this.#freeCount -= 1;
    return block;
  }
}

/** A loop, because subarray would make an object for each block. */
function copy(source: Uint8Array, from: number, target: Uint8Array, to: number, length: number): void {
  if (source === target) {
    target.copyWithin(to, from, from + length);
    return;
  }
  for (let i = 0; i < length; i += 1) target[to + i] = source[from + i] as number;
}
