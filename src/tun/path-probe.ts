/**
 * What the kernel knows of the way to an endpoint: the largest IP packet that gets there whole. It learns that from what
 * routers answer to the device's datagrams (RFC 1191, RFC 8201) and remembers it with the route. Only a connected socket
 * tells, hence sockets of our own, which send nothing.
 * Source: ip(7) IP_MTU, ipv6(7) IPV6_MTU; linux/sockios.h SIOCGSKNS.
 * @module
 */
import { closeSync, fstatSync, statSync } from 'node:fs';
import * as libc from '../linux/libc.ts';
import { AF_INET, AF_INET6, ENDPOINT_LENGTH } from './endpoint.ts';

const SOCK_DGRAM = 2;
const SOL_IP = 0;
const SOL_IPV6 = 41;
const SOL_SOCKET = 1;
const SO_MARK = 36;
const IP_MTU = 14;
const IPV6_MTU = 24;
const SIOCGSKNS = 0x894c;

/** Whether a socket belongs to the network namespace we are in: after a take-over from another one it does not. */
function isOfOurNetwork(fd: number): boolean {
  const namespace = libc.ioctlNumber(fd, SIOCGSKNS, 0);
  if (namespace < 0) return false;
  try {
    return fstatSync(namespace).ino === statSync('/proc/self/ns/net').ino;
  } finally {
    closeSync(namespace);
  }
}

export class PathProbe {
  readonly #mark: number;
  readonly #isAble: boolean;
  readonly #sockets = new Map<number, number>();
  readonly #answer = Buffer.alloc(4);
  readonly #length = Buffer.from([4, 0, 0, 0]);

  /** `sender`: a socket the device sends from; -1: there is none. `mark`: SO_MARK, for routes depend on it. */
  constructor(sender: number, mark: number) {
    this.#mark = mark;
    this.#isAble = sender >= 0 && isOfOurNetwork(sender);
  }

  /** For an endpoint record; undefined when there is no route, or nothing can be known. */
  mtu(table: Uint8Array, offset: number): number | undefined {
    const length = table[offset + ENDPOINT_LENGTH] ?? 0;
    if (!this.#isAble || length === 0) return undefined;
    const isV6 = table[offset] === AF_INET6;
    const fd = this.#socket(isV6 ? AF_INET6 : AF_INET);
    if (fd < 0) return undefined;
    const address = Buffer.from(table.subarray(offset, offset + length));
    if (libc.connect(fd, address, length) !== 0) return undefined;
    const [level, option] = isV6 ? [SOL_IPV6, IPV6_MTU] : [SOL_IP, IP_MTU];
    this.#length[0] = 4;
    if (libc.getsockopt(fd, level, option, this.#answer, this.#length) !== 0) return undefined;
    return this.#answer.readInt32LE(0);
  }

  #socket(family: number): number {
    let fd = this.#sockets.get(family);
    if (fd !== undefined) return fd;
    fd = libc.socket(family, SOCK_DGRAM | libc.O_CLOEXEC, 0);
    const mark = Buffer.alloc(4);
    mark.writeUInt32LE(this.#mark >>> 0);
    if (fd >= 0 && this.#mark !== 0) libc.setsockopt(fd, SOL_SOCKET, SO_MARK, mark, 4);
    this.#sockets.set(family, fd);
    return fd;
  }

  close(): void {
    for (const fd of this.#sockets.values()) if (fd >= 0) libc.close(fd);
    this.#sockets.clear();
  }
}
