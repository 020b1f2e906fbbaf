/**
 * From the network to the TUN: receive, open, check, join, write.
 *
 * A receive brings up to 64 KiB of datagrams of one sender. Each is opened where it lies; what holds is copied into the
 * item of its flow, and a turn's items are written to the TUN with one write each. Handshake messages go
 * to the gate (handshake-gate.ts).
 * @module
 */
import type { Kernel } from '../aead/kernel.ts';
import { DROP_LONG, GRO_EVEN, GRO_FULL, GRO_OFF, GRO_UDP } from '../aead/packet-drops.ts';
import * as libc from '../linux/libc.ts';
import { markCongestion } from '../noise/ecn.ts';
import { CONFIRMED, MALFORMED, NONE, REPLAYED, type Transport } from '../noise/transport.ts';
import type { Slab } from '../tun/slab.ts';
import { UdpReceiver } from '../tun/udp-port.ts';
import { Drop } from './drops.ts';
import type { HandshakeGate } from './handshake-gate.ts';
import { StrayData } from './stray-data.ts';

const TYPE_TRANSPORT = 4;
const INITIATION_SIZE = 148;
const RESPONSE_SIZE = 92;
const COOKIE_REPLY_SIZE = 64;
const HEADER = 16;
const OVERHEAD = 32;
const VIRTIO_HEADER = 10;
/** Off the power of two, so that slots do not fall on the same cache lines. */
const SLOT_STRIDE = 65_600;
const SLOTS = 32;
/** Receives before the TUN gets its turn. */
const RECEIVES_PER_TURN = 16;

export class Ingress {
  readonly #slab: Slab;
  readonly #kernel: Kernel;
  readonly #transport: Transport;
  readonly #drops: Float64Array;
  readonly #gate: HandshakeGate;
  readonly #tunFd: number;
  readonly #receiver: UdpReceiver;
  readonly #stray: StrayData;
  readonly #slots: number;
  readonly #cut: number;
  readonly #lengths: number;
  #options: number;
  /** The datagrams of one peer that are not settled yet. */
  #peer = -1;
  #bytes = 0;
  #hasData = false;

  constructor(
    slab: Slab,
    kernel: Kernel,
    transport: Transport,
    drops: Float64Array,
    gate: HandshakeGate,
    tunFd: number,
    joinUdp: boolean,
  ) {
    this.#slab = slab;
    this.#kernel = kernel;
    this.#transport = transport;
    this.#drops = drops;
    this.#gate = gate;
    this.#tunFd = tunFd;
    this.#receiver = new UdpReceiver(slab);
    this.#stray = new StrayData(slab.bytes, transport);
    this.#slots = slab.take(SLOTS * SLOT_STRIDE);
    this.#cut = slab.take(SLOT_STRIDE);
    this.#lengths = kernel.groLengths() >> 2;
    this.#options = joinUdp ? GRO_UDP : 0;
    this.#begin();
  }

  #begin(): void {
    this.#kernel.groBegin(this.#slots, SLOT_STRIDE, SLOTS, this.#options);
  }

  /** Receives what the socket has, up to a turn's worth, and writes it to the TUN. False: the socket is lost. */
  drain(fd: number, now: number): boolean {
    let isThere = true;
    let received = false;
    for (let turn = 0; turn < RECEIVES_PER_TURN; turn += 1) {
      const length = this.#receiver.receive(fd);
      if (length < 0) {
        if (length === -libc.Errno.EAGAIN) break;
        // Closed from outside (sock_diag(7) SOCK_DESTROY), which takes the port away if the kernel picked it.
        isThere = length !== -libc.Errno.ECONNABORTED && length !== -libc.Errno.EBADF;
        if (!isThere) break;
        // Anything else is an ICMP error of some datagram sent earlier: it says nothing of what waits here.
        continue;
      }
      received = true;
      this.#train(fd, length, now);
    }
    if (received) this.flush();
    return isThere;
  }

  /** One receive: datagrams of one sender. */
  #train(fd: number, length: number, now: number): void {
    const { buffer, segment, truncated } = this.#receiver;
    if (truncated) this.#count(Drop['truncated-datagram']);
    const end = buffer + length;
    let at = buffer;
    do {
      const next = Math.min(at + segment, end);
      // The last datagram of a truncated receive is not whole.
      if (!truncated || next < end) this.#datagram(fd, at, next - at, now);
      at = next;
    } while (at < end);
    this.#settle(now);
  }

  #datagram(fd: number, at: number, length: number, now: number): void {
    if (length < OVERHEAD) {
      this.#count(Drop['short-datagram']);
      return;
    }
    const { view } = this.#slab;
    const type = view.getUint32(at, true);
    if (type === TYPE_TRANSPORT) this.#message(at, length, now);
    else if (
      (type === 1 && length === INITIATION_SIZE) ||
      (type === 2 && length === RESPONSE_SIZE) ||
      (type === 3 && length === COOKIE_REPLY_SIZE)
    ) {
      this.#gate.admit(fd, at, length, this.#receiver.source, now);
    } else this.#count(Drop['unknown-type']);
  }

  #message(at: number, length: number, now: number): void {
    const { view, bytes } = this.#slab;
    const transport = this.#transport;
    const slot = transport.receiveKeypair(view.getUint32(at + 4, true), now);
    if (slot === NONE) {
      this.#count(Drop['unknown-index']);
      this.#stray.seen(this.#receiver.source, now);
      return;
    }
    const low = view.getUint32(at + 8, true);
    const high = view.getUint32(at + 12, true);
    const packet = at + HEADER;
    const size = length - OVERHEAD;
    if (this.#kernel.open(transport.keypairs.receiveKey(slot), low, high, packet, packet, size) !== 0) {
      this.#count(Drop['bad-tag']);
      return;
    }
    const accepted = transport.opened(slot, high, low, now);
    if (accepted === REPLAYED) {
      this.#count(Drop.replayed);
      return;
    }
    const peer = transport.keypairs.peerOf[slot] as number;
    if (peer !== this.#peer) {
      this.#settle(now);
      this.#peer = peer;
    }
    // Paper §6.5: roam before what is staged is flushed to the old place.
    if (accepted === CONFIRMED) transport.roam(peer, bytes, this.#receiver.source);
    this.#bytes += length;
    if (size === 0) return;
    this.#hasData = true;
    const total = transport.acceptInner(peer, bytes, packet, size);
    if (total < 0) {
      this.#count(total === MALFORMED ? Drop['inner-malformed'] : Drop['inner-source']);
      return;
    }
    if (this.#receiver.congested) markCongestion(bytes, packet);
    const added = this.#kernel.groAdd(packet, total);
    if (added === 0) return;
    if (added === GRO_FULL) {
      this.flush();
      this.#kernel.groAdd(packet, total);
    } else if (added === DROP_LONG) this.#count(Drop['inner-malformed']);
  }

  /** Tells the transport what came from the peer at hand, and follows it to where it came from. */
  #settle(now: number): void {
    if (this.#peer < 0) return;
    this.#transport.roam(this.#peer, this.#slab.bytes, this.#receiver.source);
    this.#transport.received(this.#peer, this.#bytes, this.#hasData, now);
    this.#peer = -1;
    this.#bytes = 0;
    this.#hasData = false;
  }

  /** Writes the items to the TUN. */
  flush(): void {
    const count = this.#kernel.groFinish();
    const { words, address } = this.#slab;
    for (let i = 0; i < count; i += 1) {
      const slot = this.#slots + i * SLOT_STRIDE;
      const length = words[this.#lengths + i] as number;
      if (libc.write(this.#tunFd, address + slot, length) >= 0) continue;
      if (libc.errno() !== libc.Errno.EINVAL || !this.#writeApart(slot, length)) {
        this.#count(Drop['tun-write-failed']);
      }
    }
    this.#begin();
  }

  /**
   * Some kernels refuse joined packets: all of them, or those with a short tail (6.6.44, some 6.1 and 6.10). Writes the
   * item's packets one by one and joins less from now on. False when the item was a single packet.
   */
  #writeApart(slot: number, length: number): boolean {
    const segments = this.#kernel.plan(slot, length, 0);
    if (segments <= 1) return false;
    this.#options |= (this.#options & GRO_EVEN) === 0 ? GRO_EVEN : GRO_OFF;
    for (let i = 0; i < segments; i += 1) {
      const size = this.#kernel.cutSegment(i, this.#cut);
      if (size <= VIRTIO_HEADER || libc.write(this.#tunFd, this.#slab.address + this.#cut, size) < 0) {
        this.#count(Drop['tun-write-failed']);
      }
    }
    return true;
  }

  #count(drop: number): void {
    this.#drops[drop] = (this.#drops[drop] as number) + 1;
  }
}
