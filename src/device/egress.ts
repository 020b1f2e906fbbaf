/**
 * From the TUN to the network: read, route, seal, send.
 *
 * What one peer gets is gathered into a run: datagrams of equal length (only the last may be shorter) that lie one
 * after the other and leave with one sendmsg, across TUN reads. A run ends when it is full, when the peer, key or
 * length changes, or when the TUN has nothing more.
 *
 *     run | datagram | datagram | … | shorter |      ≤ 65,507 bytes, ≤ 64 datagrams
 *
 * Source: WireGuard paper §5.4.6; udp(7) and linux net/ipv4/udp.c for what a run may be.
 * @module
 */
import type { Kernel } from '../aead/kernel.ts';
import * as libc from '../linux/libc.ts';
import { outerEcn } from '../noise/ecn.ts';
import { MALFORMED, NONE, type Transport } from '../noise/transport.ts';
import type { Slab } from '../tun/slab.ts';
import { Drop } from './drops.ts';
import { PeerSender } from './peer-sender.ts';
import { isOwnMessage } from './routing-loop.ts';
import { Unreachable } from './unreachable.ts';

const VIRTIO_HEADER = 10;
/** Header and a packet of 64 KiB. */
export const TUN_READ_SIZE = VIRTIO_HEADER + 65_535;
/** 65,535 less the IPv4 and UDP headers; IPv6 would take 20 more, which is not worth a second number. */
const MAX_RUN = 65_507;
/** An IP packet of 64 KiB, sealed. */
const RUN_SIZE = 65_536 + 64;
const KEEPALIVE_SIZE = 32;
/** No drop. */
const KEPT = -1;
/** AF41, without ECN: the kernel's HANDSHAKE_DSCP. */
const HANDSHAKE_CLASS = 0x88;
const TWO_32 = 0x1_0000_0000;
/** TUN reads before the network gets its turn. */
const READS_PER_TURN = 32;
// kernel.ts planAddress(): fields as words.
const PLAN_WIRE = 1;
const PLAN_LAST = 2;

/** What a drain of the TUN found. */
export const TUN_EMPTY = 0;
export const TUN_MORE = 1;
export const TUN_GONE = 2;

export class Egress {
  mtu = 1420;
  readonly sender: PeerSender;
  readonly #slab: Slab;
  readonly #kernel: Kernel;
  readonly #transport: Transport;
  readonly #drops: Float64Array;
  readonly #tunFd: number;
  readonly #unreachable: Unreachable;
  readonly #read: number;
  readonly #run: number;
  readonly #plan: number;
  #runPeer = -1;
  #runSlot = NONE;
  #runBytes = 0;
  #runCount = 0;
  /** Bytes of each datagram but the last. */
  #runWire = 0;
  #runHasData = false;

  constructor(
    slab: Slab,
    kernel: Kernel,
    transport: Transport,
    drops: Float64Array,
    tunFd: number,
    maxPeers: number,
  ) {
    this.#slab = slab;
    this.#kernel = kernel;
    this.#transport = transport;
    this.#drops = drops;
    this.#tunFd = tunFd;
    this.sender = new PeerSender(slab, transport, drops, maxPeers);
    this.#unreachable = new Unreachable(slab, tunFd);
    this.#read = slab.take(TUN_READ_SIZE);
    this.#run = slab.take(RUN_SIZE);
    this.#plan = kernel.planAddress() >> 2;
  }

  /** Reads what the TUN has, up to a turn's worth, and sends it. */
  drain(now: number): number {
    const address = this.#slab.address + this.#read;
    let result = TUN_MORE;
    for (let reads = 0; reads < READS_PER_TURN; reads += 1) {
      const length = libc.read(this.#tunFd, address, TUN_READ_SIZE);
      if (length < 0) {
        const errno = libc.errno();
        if (errno === libc.Errno.EINTR) continue;
        result = errno === libc.Errno.EAGAIN || errno === libc.Errno.EIO ? TUN_EMPTY : TUN_GONE;
        break;
      }
      const drop = this.#fromTun(length, now);
      if (drop !== KEPT) this.#count(drop);
    }
    this.flush(now);
    return result;
  }

  /** Why the packet was dropped, or KEPT. */
  #fromTun(length: number, now: number): number {
    const ip = this.#read + VIRTIO_HEADER;
    const transport = this.#transport;
    const peer = transport.routeOut(this.#slab.bytes, ip, length - VIRTIO_HEADER);
    if (peer === MALFORMED) return Drop['malformed-packet'];
    if (peer < 0 || !transport.hasEndpoint(peer)) {
      this.#unreachable.answer(ip, length - VIRTIO_HEADER, now);
      return peer < 0 ? Drop['no-peer'] : Drop['no-endpoint'];
    }
    const slot = transport.usableKeypair(peer, now);
    const remoteIndex = slot === NONE ? 0 : (transport.keypairs.remoteIndexOf[slot] as number);
    if (isOwnMessage(this.#slab.view, ip, remoteIndex)) return Drop['routing-loop'];
    // What waits already goes first.
    if (slot === NONE || transport.staged.count(peer) > 0 || !this.#seal(peer, slot, length, now)) {
      // What is dropped there is counted there.
      transport.stage(peer, this.#slab.bytes, this.#read, length, now);
    }
    return KEPT;
  }

  /** Seals the TUN read into the run. False when the key is used up: then the packet has to wait for the next one. */
  #seal(peer: number, slot: number, length: number, now: number): boolean {
    const kernel = this.#kernel;
    const count = kernel.plan(this.#read, length, this.mtu);
    if (count < 1) {
      this.#count(Drop['malformed-packet']);
      return true;
    }
    const wire = this.#slab.words[this.#plan + PLAN_WIRE] as number;
    const last = this.#slab.words[this.#plan + PLAN_LAST] as number;
    if (wire > MAX_RUN) {
      this.#count(Drop['send-too-long']);
      return true;
    }
    const counter = this.#transport.reserve(slot, count);
    if (counter < 0) return false;
    this.#markRun(outerEcn(this.#slab.bytes, this.#read + VIRTIO_HEADER), now);
    const { keypairs } = this.#transport;
    const key = keypairs.sendKey(slot);
    const receiver = keypairs.remoteIndexOf[slot] as number;
    for (let done = 0; done < count; ) {
      const isLast = done === count - 1;
      const limit = this.#prepare(peer, slot, isLast ? last : wire, isLast, now);
      const fits = Math.floor((MAX_RUN - this.#runBytes) / wire);
      const part = Math.max(1, Math.min(count - done, limit - this.#runCount, fits));
      const next = counter + done;
      this.#runBytes += kernel.sealPlanned(
        key,
        receiver,
        next >>> 0,
        Math.floor(next / TWO_32),
        done,
        part,
        this.#run + this.#runBytes,
      );
      this.#runCount += part;
      done += part;
      if (done === count && last < this.#runWire) this.flush(now);
    }
    this.#runHasData = true;
    return true;
  }

  /** What is sent from here on has this traffic class. */
  #markRun(trafficClass: number, now: number): void {
    if (this.sender.trafficClass === trafficClass) return;
    this.flush(now);
    this.sender.trafficClass = trafficClass;
  }

  /**
   * Makes room in the run for a datagram of `wire` bytes, beginning a new one if it does not go with the old: a shorter
   * one may only be the run's last. Returns how many datagrams a run to this peer may have.
   */
  #prepare(peer: number, slot: number, wire: number, isLast: boolean, now: number): number {
    const limit = this.sender.limit(peer, wire, now);
    if (
      this.#runCount > 0 &&
      (this.#runPeer !== peer ||
        this.#runSlot !== slot ||
        wire > this.#runWire ||
        (wire < this.#runWire && !isLast) ||
        this.#runCount >= limit ||
        this.#runBytes + this.#runWire > MAX_RUN)
    ) {
      this.flush(now);
    }
    if (this.#runCount === 0) {
      this.#runPeer = peer;
      this.#runSlot = slot;
      this.#runWire = wire;
    }
    return limit;
  }

  /** Sends the run. */
  flush(now: number): void {
    if (this.#runCount === 0) return;
    const peer = this.#runPeer;
    const bytes = this.#runBytes;
    const wire = this.#runWire;
    const hasData = this.#runHasData;
    this.#runCount = 0;
    this.#runBytes = 0;
    this.#runHasData = false;
    const sent = this.sender.toPeer(peer, this.#run, bytes, wire, now);
    this.#transport.sent(peer, sent, hasData, now);
  }

  /** Sends what was staged for the peer, as far as its key allows. */
  sendStaged(peer: number, now: number): void {
    const transport = this.#transport;
    while (transport.staged.count(peer) > 0) {
      const slot = transport.usableKeypair(peer, now);
      if (slot === NONE) {
        transport.requestHandshake(peer, now);
        break;
      }
      const length = transport.unstage(peer, this.#slab.bytes, this.#read);
      if (length >= 0 && !this.#seal(peer, slot, length, now)) break;
    }
    this.flush(now);
  }

  /** Sends an empty message, or asks for a session. */
  sendKeepalive(peer: number, now: number): void {
    const transport = this.#transport;
    if (!transport.hasPeer(peer) || !transport.hasEndpoint(peer)) return;
    const slot = transport.usableKeypair(peer, now);
    const counter = slot === NONE ? -1 : transport.reserve(slot, 1);
    if (counter < 0) {
      transport.requestHandshake(peer, now);
      return;
    }
    this.flush(now);
    this.#markRun(0, now);
    this.#prepare(peer, slot, KEEPALIVE_SIZE, true, now);
    this.#runBytes = this.#kernel.sealEmpty(
      transport.keypairs.sendKey(slot),
      transport.keypairs.remoteIndexOf[slot] as number,
      counter >>> 0,
      Math.floor(counter / TWO_32),
      this.#run,
    );
    this.#runCount = 1;
    this.flush(now);
  }

  /** Sends a handshake message to the peer's endpoint. Bytes that left. */
  sendHandshake(peer: number, message: Uint8Array, now: number): number {
    this.flush(now);
    if (!this.#transport.hasEndpoint(peer)) return 0;
    this.#markRun(HANDSHAKE_CLASS, now);
    this.#slab.bytes.set(message, this.#run);
    return this.sender.toPeer(peer, this.#run, message.length, message.length, now);
  }

  #count(drop: number): void {
    this.#drops[drop] = (this.#drops[drop] as number) + 1;
  }
}
