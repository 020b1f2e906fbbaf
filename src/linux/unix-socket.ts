/**
 * Unix sockets that carry whole messages and open descriptors (SOCK_SEQPACKET), and tell whose process is at the other
 * end. Nothing here waits: what would have to says so.
 * Source: unix(7), cmsg(3), recvmsg(2); linux/socket.h for struct msghdr and struct ucred.
 * @module
 */
import * as libc from './libc.ts';
import { SystemError } from './sys.ts';

const AF_UNIX = 1;
const SOCK_SEQPACKET = 5;
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const SO_PEERCRED = 17;
const SCM_RIGHTS = 1;
const MSG_CTRUNC = 0x08;
const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x4000_0000;
const SUN_PATH_SIZE = 108;
const BACKLOG = 16;
/** struct msghdr, with one struct iovec behind it. */
const MSGHDR_SIZE = 56;
const CMSG_HEADER = 16;
const SEND_BUFFER = 1 << 20;
/** The kernel takes no more in one message (SCM_MAX_FD). */
export const MAX_DESCRIPTORS = 253;
const CONTROL_SIZE = CMSG_HEADER + 4 * MAX_DESCRIPTORS + 4;

export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** The path as the kernel wants it; undefined when it is too long. */
export function unixAddress(path: string): Buffer | undefined {
  const name = Buffer.from(path, 'utf8');
  if (name.length >= SUN_PATH_SIZE) return undefined;
  const address = Buffer.alloc(2 + SUN_PATH_SIZE);
  address.writeUInt16LE(AF_UNIX, 0);
  name.copy(address, 2);
  return address;
}

function open(): number {
  const flags = SOCK_SEQPACKET | libc.O_NONBLOCK | libc.O_CLOEXEC;
  const fd = libc.socket(AF_UNIX, flags, 0);
  if (fd < 0) throw new SystemError('socket', libc.errno());
  return fd;
}

/** So that a message of 64 KiB has room beside the one being read. */
function widen(fd: number): void {
  const size = Buffer.alloc(4);
  size.writeInt32LE(SEND_BUFFER);
  libc.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, size, size.length);
}

/** Listens at a path that nothing is at, for our own user alone (0600). Throws SystemError. */
export function listenSeqpacket(address: Uint8Array): number {
  const fd = open();
  const mask = libc.umask(0o177);
  const bound = libc.bind(fd, address, address.length);
  const errno = bound < 0 ? libc.errno() : 0;
  libc.umask(mask);
  if (errno === 0 && libc.listen(fd, BACKLOG) === 0) return fd;
  const failure = new SystemError(errno === 0 ? 'listen' : 'bind', errno || libc.errno());
  libc.close(fd);
  throw failure;
}

/** Throws SystemError: ENOENT and ECONNREFUSED when nobody listens, EACCES when we may not. */
export function connectSeqpacket(address: Uint8Array): number {
  const fd = open();
  if (libc.connect(fd, address, address.length) === 0) {
    widen(fd);
    return fd;
  }
  const failure = new SystemError('connect', libc.errno());
  libc.close(fd);
  throw failure;
}

/** The next connection, or -1 when none waits. */
export function acceptConnection(listener: number): number {
  const fd = libc.accept4(listener, 0, 0, libc.O_NONBLOCK | libc.O_CLOEXEC);
  if (fd >= 0) widen(fd);
  return fd;
}

/** Who connected, as the kernel knows it; for the one who connected, who listened. */
export function peerCredentials(fd: number): PeerCredentials {
  const credentials = Buffer.alloc(12);
  const length = Buffer.alloc(4);
  length.writeInt32LE(credentials.length);
  if (libc.getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials, length) !== 0) {
    throw new SystemError('getsockopt', libc.errno());
  }
  return {
    pid: credentials.readInt32LE(0),
    uid: credentials.readUInt32LE(4),
    gid: credentials.readUInt32LE(8),
  };
}

/** struct msghdr with its vector at `MSGHDR_SIZE`. The buffers must live until the call is over. */
function header(bytes: Uint8Array, control: Uint8Array | undefined): Buffer {
  const message = Buffer.alloc(MSGHDR_SIZE + 16);
  const vector = libc.addressOf(message) + MSGHDR_SIZE;
  message.writeBigUInt64LE(BigInt(vector), 16);
  message.writeBigUInt64LE(1n, 24);
  if (control !== undefined) {
    message.writeBigUInt64LE(BigInt(libc.addressOf(control)), 32);
    message.writeBigUInt64LE(BigInt(control.length), 40);
  }
  message.writeBigUInt64LE(BigInt(bytes.length === 0 ? 0 : libc.addressOf(bytes)), MSGHDR_SIZE);
  message.writeBigUInt64LE(BigInt(bytes.length), MSGHDR_SIZE + 8);
  return message;
}

/** Sends one message, with copies of the descriptors. False: there is no room now. Throws SystemError. */
export function sendMessage(fd: number, bytes: Uint8Array, descriptors: readonly number[] = []): boolean {
  let control: Buffer | undefined;
  if (descriptors.length > 0) {
    control = Buffer.alloc((CMSG_HEADER + 4 * descriptors.length + 7) & ~7);
    control.writeBigUInt64LE(BigInt(CMSG_HEADER + 4 * descriptors.length), 0);
    control.writeInt32LE(SOL_SOCKET, 8);
    control.writeInt32LE(SCM_RIGHTS, 12);
    for (const [index, descriptor] of descriptors.entries()) {
      control.writeInt32LE(descriptor, CMSG_HEADER + 4 * index);
    }
  }
  const message = header(bytes, control);
  for (;;) {
    if (libc.sendmsg(fd, libc.addressOf(message), MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return true;
    const errno = libc.errno();
    if (errno === libc.Errno.EAGAIN || errno === libc.Errno.ENOBUFS) return false;
    if (errno !== libc.Errno.EINTR) throw new SystemError('sendmsg', errno);
  }
}

export interface ReceivedMessage {
  /** Of the buffer given. 0: the other side has closed. */
  readonly length: number;
  /** Ours now: close them. */
  readonly descriptors: readonly number[];
  /** Longer than the buffer, or with more descriptors than the kernel could give us. */
  readonly truncated: boolean;
}

/** One message into `buffer`; undefined: there is none now. Throws SystemError. */
export function receiveMessage(fd: number, buffer: Uint8Array): ReceivedMessage | undefined {
  const control = Buffer.alloc((CONTROL_SIZE + 7) & ~7);
  const message = header(buffer, control);
  for (;;) {
    const length = libc.recvmsg(fd, libc.addressOf(message), MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (length >= 0) {
      const flags = message.readInt32LE(48);
      const truncated = (flags & (MSG_TRUNC | MSG_CTRUNC)) !== 0;
      return {
        length,
        descriptors: readDescriptors(control, Number(message.readBigUInt64LE(40))),
        truncated,
      };
    }
    const errno = libc.errno();
    if (errno === libc.Errno.EAGAIN) return undefined;
    if (errno !== libc.Errno.EINTR) throw new SystemError('recvmsg', errno);
  }
}

function readDescriptors(control: Buffer, total: number): number[] {
  const descriptors: number[] = [];
  for (let at = 0; at + CMSG_HEADER <= total; ) {
    const length = Number(control.readBigUInt64LE(at));
    if (length < CMSG_HEADER || at + length > total) break;
    if (control.readInt32LE(at + 8) === SOL_SOCKET && control.readInt32LE(at + 12) === SCM_RIGHTS) {
      for (let i = at + CMSG_HEADER; i + 4 <= at + length; i += 4) descriptors.push(control.readInt32LE(i));
    }
    at += (length + 7) & ~7;
  }
  return descriptors;
}
