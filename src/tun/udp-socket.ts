/**
 * The two UDP sockets of a WireGuard interface: IPv4 and IPv6 on one port, bound to the wildcard address.
 * Source: ip(7), ipv6(7), udp(7), socket(7); linux/udp.h for UDP_SEGMENT and UDP_GRO.
 * @module
 */
import * as libc from '../linux/libc.ts';
import { TunError } from './tun-error.ts';

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_DGRAM = 2;
const SOL_IP = 0;
const SOL_SOCKET = 1;
const SOL_UDP = 17;
const SOL_IPV6 = 41;
const IP_PKTINFO = 8;
const IP_RECVTOS = 13;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
const SO_MARK = 36;
const IPV6_V6ONLY = 26;
const IPV6_RECVPKTINFO = 49;
const IPV6_RECVTCLASS = 66;
const UDP_SEGMENT = 103;
const UDP_GRO = 104;

/** As the reference implementation asks for; the kernel gives what it may. */
const SOCKET_BUFFER = 7 << 20;
/** How often a port picked by the kernel for IPv4 may be taken on IPv6 before we give up. */
const PORT_TRIES = 100;

export interface UdpSockets {
  /** -1 when the machine has no IPv4, or no IPv6. */
  readonly fd4: number;
  readonly fd6: number;
  readonly port: number;
  /** The kernel can cut one send into many datagrams (UDP_SEGMENT). */
  readonly segmentation: boolean;
}

function int32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeInt32LE(value | 0);
  return buffer;
}

const setOption = (fd: number, level: number, option: number, value: number): boolean =>
  libc.setsockopt(fd, level, option, int32(value), 4) === 0;

function sockaddr(family: number, port: number): Buffer {
  const address = Buffer.alloc(family === AF_INET ? 16 : 28);
  address.writeUInt16LE(family, 0);
  address.writeUInt16BE(port, 2);
  return address;
}

function boundPort(fd: number): number {
  const address = Buffer.alloc(28);
  libc.getsockname(fd, address, int32(28));
  return address.readUInt16BE(2);
}

interface Opened {
  readonly fd: number;
  readonly errno: number;
}

/** One bound socket; `fd` -1 and the errno when it cannot be had. */
function openOne(family: number, port: number): Opened {
  const fd = libc.socket(family, SOCK_DGRAM | libc.O_NONBLOCK | libc.O_CLOEXEC, 0);
  if (fd < 0) return { fd: -1, errno: libc.errno() };
  if (family === AF_INET) {
    setOption(fd, SOL_IP, IP_PKTINFO, 1);
    setOption(fd, SOL_IP, IP_RECVTOS, 1);
  } else {
    setOption(fd, SOL_IPV6, IPV6_V6ONLY, 1);
    setOption(fd, SOL_IPV6, IPV6_RECVPKTINFO, 1);
    setOption(fd, SOL_IPV6, IPV6_RECVTCLASS, 1);
  }
  // The plain option first: it is capped by rmem_max, but works without NET_ADMIN.
  setOption(fd, SOL_SOCKET, SO_RCVBUF, SOCKET_BUFFER);
  setOption(fd, SOL_SOCKET, SO_SNDBUF, SOCKET_BUFFER);
  setOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BUFFER);
  setOption(fd, SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_BUFFER);
  setOption(fd, SOL_UDP, UDP_GRO, 1);
  const address = sockaddr(family, port);
  if (libc.bind(fd, address, address.length) < 0) {
    const errno = libc.errno();
    libc.close(fd);
    return { fd: -1, errno };
  }
  return { fd, errno: 0 };
}

/** errno values that mean "this family is not to be had here", which is no reason to refuse the other one. */
const isFamilyMissing = (errno: number): boolean =>
  errno === libc.Errno.EAFNOSUPPORT || errno === libc.Errno.EADDRNOTAVAIL || errno === libc.Errno.EACCES;

/**
 * Opens both sockets in the caller's network namespace. Port 0 lets the kernel pick one that is free in both families.
 * @throws TunError ERR_UDP_BIND when the port is taken or no family works.
 */
export function openUdpSockets(port: number): UdpSockets {
  for (let tries = 0; ; tries += 1) {
    const v4 = openOne(AF_INET, port);
    if (v4.fd < 0 && !isFamilyMissing(v4.errno)) throw bindError(port, v4.errno);
    const chosen = v4.fd < 0 ? port : boundPort(v4.fd);
    const v6 = openOne(AF_INET6, chosen);
    if (v6.fd < 0 && !isFamilyMissing(v6.errno)) {
      if (v4.fd >= 0) libc.close(v4.fd);
      if (port === 0 && v6.errno === libc.Errno.EADDRINUSE && tries < PORT_TRIES) continue;
      throw bindError(port, v6.errno);
    }
    if (v4.fd < 0 && v6.fd < 0) throw bindError(port, v4.errno);
    const probe = v4.fd >= 0 ? v4.fd : v6.fd;
    return {
      fd4: v4.fd,
      fd6: v6.fd,
      port: v4.fd >= 0 ? chosen : boundPort(v6.fd),
      segmentation: libc.getsockopt(probe, SOL_UDP, UDP_SEGMENT, Buffer.alloc(4), int32(4)) === 0,
    };
  }
}

function bindError(port: number, errno: number): TunError {
  const why = errno === libc.Errno.EADDRINUSE ? 'another program uses it' : libc.errnoName(errno);
  return new TunError('ERR_UDP_BIND', `UDP port ${port} cannot be opened: ${why}.`, errno);
}

/** Marks what the sockets send (SO_MARK; 0: none). False when the kernel refuses: it wants NET_ADMIN. */
export function setMark(sockets: UdpSockets, mark: number): boolean {
  let done = true;
  for (const fd of [sockets.fd4, sockets.fd6]) {
    if (fd >= 0) done = setOption(fd, SOL_SOCKET, SO_MARK, mark) && done;
  }
  return done;
}

export function closeUdpSockets(sockets: UdpSockets): void {
  if (sockets.fd4 >= 0) libc.close(sockets.fd4);
  if (sockets.fd6 >= 0) libc.close(sockets.fd6);
}
