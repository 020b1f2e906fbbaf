/**
 * The TUN device: opening or adopting one, its name, MTU and offloads.
 * Source: linux/if_tun.h, linux/sockios.h, Documentation/networking/tuntap.rst.
 * @module
 */
import * as libc from '../linux/libc.ts';
import { TunError } from './tun-error.ts';

const TUNSETIFF = 0x400454ca;
const TUNGETIFF = 0x800454d2;
const TUNSETOFFLOAD = 0x400454d0;
const TUNGETDEVNETNS = 0x54e3;
const IFF_TUN = 0x0001;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
const TUN_F_CSUM = 0x01;
const TUN_F_TSO4 = 0x02;
const TUN_F_TSO6 = 0x04;
const TUN_F_USO4 = 0x20;
const TUN_F_USO6 = 0x40;
const SIOCGIFFLAGS = 0x8913;
const SIOCGIFMTU = 0x8921;
const SIOCSIFMTU = 0x8922;
const SIOCGIFINDEX = 0x8933;
const SIOCSIFTXQLEN = 0x8943;
const IFF_UP_RUNNING = 0x41;
const IFREQ_SIZE = 40;
const IFNAMSIZ = 16;
const AF_INET = 2;
const SOCK_DGRAM = 2;

/** 1500 less the outer IPv6 and UDP headers and WireGuard's 32 bytes. */
export const DEFAULT_MTU = 1420;
/**
 * Packets the kernel keeps until we read them, as for Ethernet. The 500 of a TUN are used up in 15 ms by 300 Mbit/s of
 * full packets, which is how long a busy machine may let us wait.
 */
const QUEUE_LENGTH = 1000;

export interface TunDevice {
  readonly fd: number;
  /** As the kernel has it: differs from the name asked for when that was a pattern such as `wg%d`. */
  readonly name: string;
  /** The kernel hands us, and takes, TCP super-packets (TSO). */
  readonly tcpOffload: boolean;
  /** The same for UDP (USO, Linux 6.2). */
  readonly udpOffload: boolean;
}

function ifreq(name: string): Buffer {
  const request = Buffer.alloc(IFREQ_SIZE);
  request.write(name, 0, IFNAMSIZ - 1, 'utf8');
  return request;
}

/** Why a name cannot be an interface's (net/core/dev.c dev_valid_name), or undefined when it can. */
export function nameFault(name: string): string | undefined {
  if (name.length === 0) return 'it is empty';
  if (Buffer.byteLength(name) >= IFNAMSIZ) return `it is longer than ${IFNAMSIZ - 1} bytes`;
  if (name === '.' || name === '..') return 'it is a directory name';
  if (/[/:\s]/.test(name)) return 'it holds a slash, a colon or white space';
  return undefined;
}

function switchOffloads(fd: number): { tcpOffload: boolean; udpOffload: boolean } {
  const tcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
  if (libc.ioctlNumber(fd, TUNSETOFFLOAD, tcp | TUN_F_USO4 | TUN_F_USO6) === 0) {
    return { tcpOffload: true, udpOffload: true };
  }
  return { tcpOffload: libc.ioctlNumber(fd, TUNSETOFFLOAD, tcp) === 0, udpOffload: false };
}

/**
 * Makes the interface, down, with the default MTU. Needs CAP_NET_ADMIN.
 * @throws TunError when the name is unusable or taken, /dev/net/tun is missing, or the right is.
 */
export function openTun(name: string): TunDevice {
  const fault = nameFault(name);
  if (fault !== undefined) {
    throw new TunError('ERR_TUN_NAME', `'${name}' cannot be an interface name: ${fault}.`);
  }
  const fd = libc.libcOpen('/dev/net/tun', libc.O_RDWR | libc.O_NONBLOCK | libc.O_CLOEXEC, 0);
  if (fd < 0) {
    const errno = libc.errno();
    if (errno === libc.Errno.ENOENT || errno === libc.Errno.ENODEV) {
      throw new TunError(
        'ERR_TUN_MISSING',
        'There is no /dev/net/tun here: load the tun module (modprobe tun), or give the container that device.',
        errno,
      );
    }
    if (errno === libc.Errno.EACCES || errno === libc.Errno.EPERM) {
      throw new TunError('ERR_TUN_PERMISSION', 'Opening /dev/net/tun is not allowed: run as root.', errno);
    }
    throw new TunError('ERR_TUN_OPEN', `Opening /dev/net/tun failed with ${libc.errnoName(errno)}.`, errno);
  }
  const request = ifreq(name);
  request.writeUInt16LE(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, IFNAMSIZ);
  if (libc.ioctlBuffer(fd, TUNSETIFF, request) < 0) {
    const errno = libc.errno();
    libc.close(fd);
    if (errno === libc.Errno.EBUSY) {
      throw new TunError('ERR_TUN_BUSY', `The interface ${name} exists already and is in use.`, errno);
    }
    if (errno === libc.Errno.EPERM) {
      throw new TunError(
        'ERR_TUN_PERMISSION',
        `Making the interface ${name} is not allowed: run as root, or with the capability NET_ADMIN.`,
        errno,
      );
    }
    throw new TunError(
      'ERR_TUN_OPEN',
      `The kernel refused to make ${name} (${libc.errnoName(errno)}): is there another interface of that name?`,
      errno,
    );
  }
  const device = adoptTun(fd);
  setInterfaceMtu(device.name, DEFAULT_MTU);
  interfaceRequest(SIOCSIFTXQLEN, device.name, QUEUE_LENGTH);
  return device;
}

/**
 * Takes over a TUN descriptor somebody else opened (WG_TUN_FD, or our own parent).
 * @throws TunError when it is no TUN with a virtio-net header.
 */
export function adoptTun(fd: number): TunDevice {
  const request = Buffer.alloc(IFREQ_SIZE);
  if (libc.ioctlBuffer(fd, TUNGETIFF, request) < 0) {
    const errno = libc.errno();
    throw new TunError(
      'ERR_TUN_OPEN',
      `Descriptor ${fd} is no TUN device (${libc.errnoName(errno)}).`,
      errno,
    );
  }
  const flags = request.readUInt16LE(IFNAMSIZ);
  if ((flags & IFF_VNET_HDR) === 0 || (flags & IFF_NO_PI) === 0) {
    throw new TunError('ERR_TUN_OPEN', `The TUN device of descriptor ${fd} lacks IFF_VNET_HDR or IFF_NO_PI.`);
  }
  const F_GETFL = 3;
  const F_SETFL = 4;
  libc.fcntl(fd, F_SETFL, libc.fcntl(fd, F_GETFL, 0) | libc.O_NONBLOCK);
  const end = request.indexOf(0);
  return { fd, name: request.toString('utf8', 0, end), ...switchOffloads(fd) };
}

/** What the interface is called by now, in whatever namespace it is; undefined when it has been deleted. */
export function tunName(fd: number): string | undefined {
  const request = Buffer.alloc(IFREQ_SIZE);
  if (libc.ioctlBuffer(fd, TUNGETIFF, request) < 0) return undefined;
  return request.toString('utf8', 0, request.indexOf(0));
}

/** One ioctl on an interface by name, in the caller's network namespace; undefined when the kernel refuses. */
function interfaceRequest(request: number, name: string, value?: number): Buffer | undefined {
  const fd = libc.socket(AF_INET, SOCK_DGRAM | libc.O_CLOEXEC, 0);
  if (fd < 0) return undefined;
  try {
    const buffer = ifreq(name);
    if (value !== undefined) buffer.writeInt32LE(value, IFNAMSIZ);
    return libc.ioctlBuffer(fd, request, buffer) < 0 ? undefined : buffer;
  } finally {
    libc.close(fd);
  }
}

/** The interface's MTU in bytes; undefined when it is not in this network namespace. */
export const interfaceMtu = (name: string): number | undefined =>
  interfaceRequest(SIOCGIFMTU, name)?.readInt32LE(IFNAMSIZ);

/** False when the interface is not in this network namespace or the kernel refuses the size. */
export const setInterfaceMtu = (name: string, mtu: number): boolean =>
  interfaceRequest(SIOCSIFMTU, name, mtu) !== undefined;

/** undefined when the interface is not in this network namespace. */
export const interfaceIndex = (name: string): number | undefined =>
  interfaceRequest(SIOCGIFINDEX, name)?.readInt32LE(IFNAMSIZ);

/** Up and running; undefined when the interface is not in this network namespace. */
export function interfaceIsUp(name: string): boolean | undefined {
  const flags = interfaceRequest(SIOCGIFFLAGS, name)?.readUInt16LE(IFNAMSIZ);
  return flags === undefined ? undefined : (flags & IFF_UP_RUNNING) === IFF_UP_RUNNING;
}

/** A descriptor of the network namespace the interface is in now (it may have been moved), or -1 (old kernels). */
export const tunNamespace = (fd: number): number => libc.ioctlNumber(fd, TUNGETDEVNETNS, 0);
