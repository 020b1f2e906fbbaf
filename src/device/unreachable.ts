/**
 * Tells applications on this machine at once that a packet has nowhere to go: an ICMP error into the TUN, as the kernel
 * module sends it for a packet that is nobody's, or whose peer has no endpoint.
 * Source: RFC 792, RFC 1122 §3.2.2, RFC 4443 §2.4 and §3.1; linux drivers/net/wireguard/device.c (wg_xmit),
 * net/ipv4/icmp.c (icmp_global: 1000 a second, 50 at once).
 *
 *     | virtio 10 | IPv4 20 or IPv6 40 | ICMP 8 | as much of the packet as 576 or 1280 bytes allow |
 *
 * It comes from the address that cannot be reached: one of our own would be refused as a martian.
 * @module
 */
import * as libc from '../linux/libc.ts';
import type { Slab } from '../tun/slab.ts';

const VIRTIO_HEADER = 10;
const ICMP_HEADER = 8;
const IPV4_HEADER = 20;
const IPV6_HEADER = 40;
const MAX_IPV4 = 576;
const MAX_IPV6 = 1280;
const ICMP = 1;
const ICMPV6 = 58;
const HOP_LIMIT = 64;
/** Errors sent without a pause, and per millisecond. */
const BURST = 50;
const PER_MS = 1;

export class Unreachable {
  readonly #slab: Slab;
  readonly #tunFd: number;
  readonly #message: number;
  #tokens = BURST;
  #refilledAt = 0;

  constructor(slab: Slab, tunFd: number) {
    this.#slab = slab;
    this.#tunFd = tunFd;
    this.#message = slab.take(VIRTIO_HEADER + MAX_IPV6);
  }

  /** Answers the IP packet of `length` bytes at `packet`, if it may be answered. */
  answer(packet: number, length: number, now: number): void {
    const { bytes } = this.#slab;
    const isV4 = (bytes[packet] as number) >>> 4 === 4;
    if (!(isV4 ? this.#mayAnswer4(packet) : this.#mayAnswer6(packet))) return;
    this.#tokens = Math.min(BURST, this.#tokens + (now - this.#refilledAt) * PER_MS);
    this.#refilledAt = now;
    if (this.#tokens < 1) return;
    this.#tokens -= 1;
    const size = isV4 ? this.#compose4(packet, length) : this.#compose6(packet, length);
    bytes.fill(0, this.#message, this.#message + VIRTIO_HEADER);
    libc.write(this.#tunFd, this.#slab.address + this.#message, VIRTIO_HEADER + size);
  }

  /** Not for multicast and broadcast, later fragments, packets from nowhere, and other errors. */
  #mayAnswer4(packet: number): boolean {
    const { bytes } = this.#slab;
    const isLaterFragment =
      ((bytes[packet + 6] as number) & 0x1f) !== 0 || (bytes[packet + 7] as number) !== 0;
    if (isLaterFragment || (bytes[packet + 16] as number) >= 224 || bytes[packet + 12] === 0) return false;
    if (bytes[packet + 9] !== ICMP) return true;
    // Echo, timestamp and their like ask for something; the rest are errors.
    const type = bytes[packet + ((bytes[packet] as number) & 0x0f) * 4] as number;
    return type === 0 || type === 8 || (type >= 13 && type <= 18);
  }

  #mayAnswer6(packet: number): boolean {
    const { bytes } = this.#slab;
    const isMulticast = bytes[packet + 24] === 0xff;
    // ff…: multicast; 00…: unspecified, or loopback.
    if (isMulticast || bytes[packet + 8] === 0xff || bytes[packet + 8] === 0) return false;
    return bytes[packet + 6] !== ICMPV6 || (bytes[packet + IPV6_HEADER] as number) >= 128;
  }

  /** Type 3 code 1: host unreachable. Returns the length. */
  #compose4(packet: number, length: number): number {
    const { bytes, view } = this.#slab;
    const ip = this.#message + VIRTIO_HEADER;
    const icmp = ip + IPV4_HEADER;
    const quoted = Math.min(length, MAX_IPV4 - IPV4_HEADER - ICMP_HEADER);
    bytes.fill(0, ip, icmp + ICMP_HEADER);
    bytes[ip] = 0x45;
    bytes[ip + 1] = 0xc0;
    view.setUint16(ip + 2, IPV4_HEADER + ICMP_HEADER + quoted);
    bytes[ip + 8] = HOP_LIMIT;
    bytes[ip + 9] = ICMP;
    bytes.copyWithin(ip + 12, packet + 16, packet + 20);
    bytes.copyWithin(ip + 16, packet + 12, packet + 16);
    this.#sum(ip + 10, ip, IPV4_HEADER, 0);
    bytes[icmp] = 3;
    bytes[icmp + 1] = 1;
    bytes.copyWithin(icmp + ICMP_HEADER, packet, packet + quoted);
    this.#sum(icmp + 2, icmp, ICMP_HEADER + quoted, 0);
    return IPV4_HEADER + ICMP_HEADER + quoted;
  }

  /** Type 1 code 3: address unreachable. */
  #compose6(packet: number, length: number): number {
    const { bytes, view } = this.#slab;
    const ip = this.#message + VIRTIO_HEADER;
    const icmp = ip + IPV6_HEADER;
    const quoted = Math.min(length, MAX_IPV6 - IPV6_HEADER - ICMP_HEADER);
    bytes.fill(0, ip, icmp + ICMP_HEADER);
    bytes[ip] = 0x60;
    view.setUint16(ip + 4, ICMP_HEADER + quoted);
    bytes[ip + 6] = ICMPV6;
    bytes[ip + 7] = HOP_LIMIT;
    bytes.copyWithin(ip + 8, packet + 24, packet + 40);
    bytes.copyWithin(ip + 24, packet + 8, packet + 24);
    bytes[icmp] = 1;
    bytes[icmp + 1] = 3;
    bytes.copyWithin(icmp + ICMP_HEADER, packet, packet + quoted);
    // The pseudo header: both addresses, the length, the next header.
    let pseudo = ICMP_HEADER + quoted + ICMPV6;
    for (let at = ip + 8; at < icmp; at += 2) pseudo += view.getUint16(at);
    this.#sum(icmp + 2, icmp, ICMP_HEADER + quoted, pseudo);
    return IPV6_HEADER + ICMP_HEADER + quoted;
  }

  /** Stores the Internet checksum of `length` bytes at `from`, where it is 0 so far, and of `more`. */
  #sum(at: number, from: number, length: number, more: number): void {
    const { bytes, view } = this.#slab;
    let sum = more;
    const even = from + (length & ~1);
    for (let word = from; word < even; word += 2) sum += view.getUint16(word);
    if ((length & 1) !== 0) sum += (bytes[even] as number) << 8;
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
    view.setUint16(at, ~sum & 0xffff);
  }
}
