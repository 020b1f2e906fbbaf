/**
 * Datagrams in and out of the slab: the message headers that recvmsg(2) and sendmsg(2) want, prepared once, so that a
 * call costs a handful of stores. One receive brings up to 64 KiB of equal datagrams (UDP_GRO), one send takes them
 * (UDP_SEGMENT).
 * Source: recvmsg(2), cmsg(3), udp(7), ip(7), ipv6(7); struct layouts of 64-bit Linux.
 * @module
 */
import * as libc from '../linux/libc.ts';
import {
  AF_INET6,
  ENDPOINT_LENGTH,
  ENDPOINT_SIZE,
  ENDPOINT_SOURCE,
  ENDPOINT_SOURCE_LENGTH,
} from './endpoint.ts';
import type { Slab } from './slab.ts';

const MSG_NAME_LENGTH = 8;
const MSG_CONTROL = 32;
const MSG_CONTROL_LENGTH = 40;
const MSG_FLAGS = 48;
const MSGHDR_SIZE = 56;
const CONTROL_SIZE = 256;
const CMSG_HEADER = 16;
const SOL_IP = 0;
const SOL_UDP = 17;
const SOL_IPV6 = 41;
const IP_TOS = 1;
const IP_PKTINFO = 8;
const IPV6_PKTINFO = 50;
const IPV6_TCLASS = 67;
const UDP_SEGMENT = 103;
const UDP_GRO = 104;
const MSG_TRUNC = 0x20;
const IN_PKTINFO_SIZE = 12;
const IN6_PKTINFO_SIZE = 20;

/** No UDP payload is longer; the kernel merges received datagrams up to this. */
export const RECEIVE_SIZE = 65_536;

const align8 = (length: number): number => (length + 7) & ~7;

/** Receives datagrams into one buffer of the slab and says where they came from. */
export class UdpReceiver {
  /** Offset of the datagrams received last. */
  readonly buffer: number;
  /** Offset of an endpoint record of ENDPOINT_SIZE bytes: the source, and the local address it came to. */
  readonly source: number;
  /** Bytes of each datagram but the last one. */
  segment = 0;
  /** The network says it is congested (RFC 3168: CE), of all the datagrams. */
  congested = false;
  /** The datagram was longer than the buffer and is not whole. */
  truncated = false;
  readonly #slab: Slab;
  readonly #header: number;
  readonly #control: number;

  constructor(slab: Slab) {
    this.#slab = slab;
    this.buffer = slab.take(RECEIVE_SIZE);
    this.source = slab.take(ENDPOINT_SIZE);
    this.#header = slab.take(MSGHDR_SIZE);
    this.#control = slab.take(CONTROL_SIZE);
    const vector = slab.take(16);
    const { view, address } = slab;
    view.setBigUint64(vector, BigInt(address + this.buffer), true);
    view.setBigUint64(vector + 8, BigInt(RECEIVE_SIZE), true);
    view.setBigUint64(this.#header, BigInt(address + this.source), true);
    view.setBigUint64(this.#header + 16, BigInt(address + vector), true);
    view.setBigUint64(this.#header + 24, 1n, true);
    view.setBigUint64(this.#header + MSG_CONTROL, BigInt(address + this.#control), true);
  }

  /** Bytes received (0 is an empty datagram), or minus the errno. */
  receive(fd: number): number {
    const { words, address } = this.#slab;
    const header = this.#header;
    words[(header + MSG_NAME_LENGTH) >> 2] = 28;
    words[(header + MSG_CONTROL_LENGTH) >> 2] = CONTROL_SIZE;
    const length = libc.recvmsg(fd, address + header, 0);
    if (length < 0) return -libc.errno();
    this.segment = length;
    this.truncated = ((words[(header + MSG_FLAGS) >> 2] as number) & MSG_TRUNC) !== 0;
    this.#readControl(words[(header + MSG_CONTROL_LENGTH) >> 2] as number);
    return length;
  }

  #readControl(total: number): void {
    const { words, bytes } = this.#slab;
    const source = this.source;
    bytes[source + ENDPOINT_LENGTH] = bytes[source] === AF_INET6 ? 28 : 16;
    bytes[source + ENDPOINT_SOURCE_LENGTH] = 0;
    this.congested = false;
    let at = this.#control;
    const end = at + total;
    while (at + CMSG_HEADER <= end) {
      const length = words[at >> 2] as number;
      if (length < CMSG_HEADER || at + length > end) return;
      const level = words[(at + 8) >> 2] as number;
      const type = words[(at + 12) >> 2] as number;
      const data = at + CMSG_HEADER;
      if (level === SOL_UDP && type === UDP_GRO) {
        const segment = words[data >> 2] as number;
        if (segment > 0) this.segment = segment;
      } else if (level === SOL_IP && type === IP_PKTINFO) {
        bytes.copyWithin(source + ENDPOINT_SOURCE, data, data + IN_PKTINFO_SIZE);
        bytes[source + ENDPOINT_SOURCE_LENGTH] = IN_PKTINFO_SIZE;
      } else if (level === SOL_IPV6 && type === IPV6_PKTINFO) {
        bytes.copyWithin(source + ENDPOINT_SOURCE, data, data + IN6_PKTINFO_SIZE);
        bytes[source + ENDPOINT_SOURCE_LENGTH] = IN6_PKTINFO_SIZE;
      } else if ((level === SOL_IP && type === IP_TOS) || (level === SOL_IPV6 && type === IPV6_TCLASS)) {
        // One byte of IPv4, an int of IPv6: the low byte first.
        this.congested = ((bytes[data] as number) & 3) === 3;
      }
      at += align8(length);
    }
  }
}

/** Sends runs of equal datagrams from the slab. */
export class UdpSender {
  /** Offset of the endpoint record the next sends go to: copy it there. */
  readonly endpoint: number;
  /** DSCP and ECN of what is sent. */
  trafficClass = 0;
  /** A socket it sent by was closed from outside (sock_diag(7) SOCK_DESTROY); whoever has seen to it resets this. */
  socketLost = false;
  readonly #slab: Slab;
  readonly #header: number;
  readonly #vector: number;
  readonly #control: number;
  readonly #poll: number;

  constructor(slab: Slab) {
    this.#slab = slab;
    this.endpoint = slab.take(ENDPOINT_SIZE);
    this.#header = slab.take(MSGHDR_SIZE);
    this.#vector = slab.take(16);
    this.#control = slab.take(CONTROL_SIZE);
    this.#poll = slab.take(8);
    const { view, address } = slab;
    view.setBigUint64(this.#header, BigInt(address + this.endpoint), true);
    view.setBigUint64(this.#header + 16, BigInt(address + this.#vector), true);
    view.setBigUint64(this.#header + 24, 1n, true);
    view.setBigUint64(this.#header + MSG_CONTROL, BigInt(address + this.#control), true);
  }

  /**
   * Sends `length` bytes at `offset`, cut by the kernel into datagrams of `segment` bytes (the last may be shorter)
   * when they are more than one. 0, or the errno.
   */
  send(fd: number, offset: number, length: number, segment: number): number {
    const { words, bytes, address } = this.#slab;
    const header = this.#header;
    const endpoint = this.endpoint;
    words[(header + MSG_NAME_LENGTH) >> 2] = bytes[endpoint + ENDPOINT_LENGTH] as number;
    writePointer(words, this.#vector >> 2, address + offset);
    words[(this.#vector + 8) >> 2] = length;
    let at = this.#control;
    const sourceLength = bytes[endpoint + ENDPOINT_SOURCE_LENGTH] as number;
    if (sourceLength !== 0) {
      const isV4 = sourceLength === IN_PKTINFO_SIZE;
      words[at >> 2] = CMSG_HEADER + sourceLength;
      words[(at + 4) >> 2] = 0;
      words[(at + 8) >> 2] = isV4 ? SOL_IP : SOL_IPV6;
      words[(at + 12) >> 2] = isV4 ? IP_PKTINFO : IPV6_PKTINFO;
      const source = endpoint + ENDPOINT_SOURCE;
      bytes.copyWithin(at + CMSG_HEADER, source, source + sourceLength);
      at += align8(CMSG_HEADER + sourceLength);
    }
    if (this.trafficClass !== 0) {
      const isV4 = bytes[endpoint + ENDPOINT_LENGTH] !== 28;
      words[at >> 2] = CMSG_HEADER + 4;
      words[(at + 4) >> 2] = 0;
      words[(at + 8) >> 2] = isV4 ? SOL_IP : SOL_IPV6;
      words[(at + 12) >> 2] = isV4 ? IP_TOS : IPV6_TCLASS;
      words[(at + 16) >> 2] = this.trafficClass;
      at += CMSG_HEADER + 8;
    }
    if (length > segment) {
      words[at >> 2] = CMSG_HEADER + 2;
      words[(at + 4) >> 2] = 0;
      words[(at + 8) >> 2] = SOL_UDP;
      words[(at + 12) >> 2] = UDP_SEGMENT;
      words[(at + 16) >> 2] = segment;
      at += CMSG_HEADER + 8;
    }
    words[(header + MSG_CONTROL_LENGTH) >> 2] = at - this.#control;
    if (libc.sendmsg(fd, address + header, 0) >= 0) return 0;
    const errno = libc.errno();
    if (errno === libc.Errno.ECONNABORTED) this.socketLost = true;
    return errno;
  }

  /** Sleeps until the socket takes more, or `timeout` ms have passed. */
  waitForRoom(fd: number, timeout: number): void {
    const { words, address } = this.#slab;
    words[this.#poll >> 2] = fd;
    words[(this.#poll + 4) >> 2] = libc.POLLOUT;
    libc.poll(address + this.#poll, 1, timeout);
  }
}

/** Stores a 64-bit pointer as two words; pointers are below 2^48, so a double holds them. */
function writePointer(words: Int32Array, index: number, pointer: number): void {
  words[index] = pointer | 0;
  words[index + 1] = Math.floor(pointer / 0x1_0000_0000);
}

/** errno values that a source address or interface which no longer exists gives (measured on Linux 6.18). */
export function isSourceFault(errno: number): boolean {
  return (
    errno === libc.Errno.EINVAL ||
    errno === libc.Errno.ENETUNREACH ||
    errno === libc.Errno.ENODEV ||
    errno === libc.Errno.EADDRNOTAVAIL ||
    errno === libc.Errno.EHOSTUNREACH
  );
}
