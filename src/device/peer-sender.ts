/**
 * Runs of datagrams to peers, past everything a path may have against them: narrower than a datagram, unable to cut a
 * run, full, gone, forbidden, or left by the address we answered from. What does not leave is counted, per datagram.
 *
 * A run is sealed already, so its datagrams can always be sent one by one; the kernel cuts those in fragments that are
 * too long for the path, which it refuses to do to a run.
 * Source: linux net/ipv4/udp.c udp_send_skb (EMSGSIZE, EINVAL before 6.14, EIO), ip(7), udp(7).
 * @module
 */
import * as libc from '../linux/libc.ts';
import type { Transport } from '../noise/transport.ts';
import { ENDPOINT_LENGTH, ENDPOINT_SIZE, ENDPOINT_SOURCE_LENGTH } from '../tun/endpoint.ts';
import type { Slab } from '../tun/slab.ts';
import { isSourceFault, UdpSender } from '../tun/udp-port.ts';
import { Drop } from './drops.ts';

/** How long runs to a peer are not sent whole after the kernel called one too long for the path, in ms. */
const PATH_MTU_MEMORY = 600_000;
/** Waits for room in the socket's buffer, ms, before a run is dropped. */
const SEND_WAIT = 20;

export class PeerSender {
  /** -1: that family is not there. */
  fd4 = -1;
  fd6 = -1;
  /** Datagrams a run may hold; 1: the kernel cannot cut. */
  maxSegments = 1;
  readonly #slab: Slab;
  readonly #transport: Transport;
  readonly #drops: Float64Array;
  readonly #sender: UdpSender;
  /** By peer: until when, and from which datagram length on, there are no runs. */
  readonly #unmergedUntil: Float64Array;
  readonly #unmergedWire: Int32Array;

  constructor(slab: Slab, transport: Transport, drops: Float64Array, maxPeers: number) {
    this.#slab = slab;
    this.#transport = transport;
    this.#drops = drops;
    this.#sender = new UdpSender(slab);
    this.#unmergedUntil = new Float64Array(maxPeers);
    this.#unmergedWire = new Int32Array(maxPeers);
  }

  /** DSCP and ECN of what is sent next. */
  get trafficClass(): number {
    return this.#sender.trafficClass;
  }

  set trafficClass(value: number) {
    this.#sender.trafficClass = value;
  }

  /** Whether a socket turned out to be lost since the last call. */
  takeLoss(): boolean {
    const isLost = this.#sender.socketLost;
    this.#sender.socketLost = false;
    return isLost;
  }

  /** How many datagrams of `wire` bytes a run to the peer may hold. */
  limit(peer: number, wire: number, now: number): number {
    const isNarrow =
      now < (this.#unmergedUntil[peer] as number) && wire >= (this.#unmergedWire[peer] as number);
    return isNarrow ? 1 : this.maxSegments;
  }

  /** Sends datagrams of `wire` bytes, the last perhaps shorter, to the peer's endpoint. Bytes that left. */
  toPeer(peer: number, offset: number, length: number, wire: number, now: number): number {
    const at = this.#transport.endpointOffset(peer);
    this.#slab.bytes.copyWithin(this.#sender.endpoint, at, at + ENDPOINT_SIZE);
    const errno = this.#send(peer, offset, length, wire);
    if (errno === 0) return length;
    if (length <= wire || !this.#mustPart(peer, wire, errno, now)) {
      this.#lost(errno, Math.ceil(length / wire));
      return 0;
    }
    let sent = 0;
    for (let done = 0; done < length; done += wire) {
      const part = Math.min(wire, length - done);
      const fault = this.#send(peer, offset + done, part, part);
      if (fault === 0) sent += part;
      else this.#lost(fault, 1);
    }
    return sent;
  }

  /** Whether it was the run that was refused and not its datagrams; then this is remembered. */
  #mustPart(peer: number, wire: number, errno: number, now: number): boolean {
    if (errno === libc.Errno.EMSGSIZE || errno === libc.Errno.EINVAL) {
      this.#unmergedUntil[peer] = now + PATH_MTU_MEMORY;
      this.#unmergedWire[peer] = wire;
      return true;
    }
    // The way out cannot fill in checksums, or encrypts once more.
    if (errno !== libc.Errno.EIO) return false;
    this.maxSegments = 1;
    return true;
  }

  /** One sendmsg to the endpoint in place. 0, or the errno that it ended with. */
  #send(peer: number, offset: number, length: number, wire: number): number {
    const { bytes } = this.#slab;
    const endpoint = this.#sender.endpoint;
    const fd = bytes[endpoint + ENDPOINT_LENGTH] === 28 ? this.fd6 : this.fd4;
    if (fd < 0) return libc.Errno.EAFNOSUPPORT;
    let waited = false;
    for (;;) {
      const errno = this.#sender.send(fd, offset, length, wire);
      if (errno === 0) return 0;
      if (errno === libc.Errno.EINTR) continue;
      if (!waited && (errno === libc.Errno.EAGAIN || errno === libc.Errno.ENOBUFS)) {
        waited = true;
        this.#sender.waitForRoom(fd, SEND_WAIT);
        continue;
      }
      if (isSourceFault(errno) && bytes[endpoint + ENDPOINT_SOURCE_LENGTH] !== 0) {
        // The address to answer from is gone: let the kernel choose, and forget it for good.
        bytes[endpoint + ENDPOINT_SOURCE_LENGTH] = 0;
        this.#transport.clearSource(peer);
        continue;
      }
      return errno;
    }
  }

  #lost(errno: number, datagrams: number): void {
    const drop = dropOf(errno);
    this.#drops[drop] = (this.#drops[drop] as number) + datagrams;
  }
}

/** What a send that failed for good counts as. */
function dropOf(errno: number): number {
  switch (errno) {
    case libc.Errno.EAFNOSUPPORT:
      return Drop['no-socket'];
    case libc.Errno.EMSGSIZE:
      return Drop['send-too-long'];
    case libc.Errno.EAGAIN:
    case libc.Errno.ENOBUFS:
      return Drop['send-buffer-full'];
    default:
      return Drop['send-failed'];
  }
}
