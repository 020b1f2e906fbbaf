/**
 * The few system calls node:fs cannot do, synchronous, as one interface. Two runtimes implement it, picked by the import
 * map entry `#sys`: sys-node.ts (koffi) for everything that runs long, sys-bun.ts (bun:ffi) for the CNI executable.
 * A backend gives only "load this libc function" and "the last errno"; what a call means and how it fails is here, once.
 * Sources: the man-pages(2) of each call; numbers from include/uapi/asm-generic and include/uapi/linux.
 * @module
 */
import { EAGAIN, EINTR, errnoAdvice, errnoName, errnoText } from './errno.ts';

export class SystemError extends Error {
  readonly code = 'ERR_SYSTEM_CALL';
  readonly errno: number;
  readonly errnoName: string;
  readonly call: string;
  constructor(call: string, errno: number, subject = '') {
    super(
      `The system call ${call}${subject && ` on ${subject}`} failed: ${errnoText(errno)}.${errnoAdvice(errno)}`,
    );
    this.name = 'SystemError';
    this.call = call;
    this.errno = errno;
    this.errnoName = errnoName(errno);
  }
}

/** Answer of sendto, recvfrom and flock when they would have to wait and were told not to. */
export const WOULD_BLOCK = -1;

/** Every call answers a number that is not negative, or throws SystemError; the three above may answer WOULD_BLOCK. */
export interface Sys {
  socket(domain: number, type: number, protocol: number): number;
  /** `address` is a whole struct sockaddr_*. */
  bind(fd: number, address: Uint8Array): number;
  connect(fd: number, address: Uint8Array): number;
  setsockopt(fd: number, level: number, name: number, value: Uint8Array | number): number;
  /** Fills `address` with the socket's own struct sockaddr_*; answers its length. */
  getsockname(fd: number, address: Uint8Array): number;
  sendto(fd: number, data: Uint8Array, flags: number, address: Uint8Array | null): number;
  /** The sender's struct sockaddr_* is written into `address` when one is given. */
  recvfrom(fd: number, data: Uint8Array, flags: number, address: Uint8Array | null): number;
  /** `fds` is an array of struct pollfd {int fd; short events; short revents}. Answers how many are ready, 0 at the timeout. */
  poll(fds: Uint8Array, timeoutMs: number): number;
  ioctl(fd: number, request: number, argument: Uint8Array | number): number;
  flock(fd: number, operation: number): number;
  setns(fd: number, type: number): number;
  unshare(flags: number): number;
  mount(source: string, target: string, type: string, flags: number, data?: string): number;
  umount2(target: string, flags: number): number;
  prctl(option: number, argument: number): number;
  /**
   * A new process, which shares memory and descriptors with this one and outlives it, writes `data` to `fd` and ends. This
   * one must do nothing but close descriptors and `exit` afterwards. False where the runtime cannot do that.
   */
  writeInBackground(fd: number, data: Uint8Array): boolean;
  /** Ends the process at once: no exit handlers, nothing flushed. Saves a short-lived process a millisecond. */
  exit(status: number): never;
}

export type Argument = number | Uint8Array | null;

/** What a runtime has to bring. In a signature i is int, n is unsigned long, p is a pointer (bytes or null); the result is int. */
export interface Backend {
  load(name: string, signature: string): (...args: Argument[]) => number;
  errno(): number;
  writeInBackground?(fd: number, data: Uint8Array): boolean;
}

export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_NETLINK = 16;
export const AF_PACKET = 17;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;
export const SOL_SOCKET = 1;
export const MSG_DONTWAIT = 0x40;
export const POLLIN = 1;
export const LOCK_SH = 1;
export const LOCK_EX = 2;
export const LOCK_NB = 4;
export const LOCK_UN = 8;
export const CLONE_NEWNS = 0x00020000;
export const CLONE_NEWNET = 0x40000000;
export const MS_BIND = 0x1000;
export const MS_REC = 0x4000;
export const MS_SLAVE = 0x80000;
export const MS_SHARED = 0x100000;
export const MNT_DETACH = 2;
/** prctl: the signal this process gets when its parent's thread ends. */
export const PR_SET_PDEATHSIG = 1;

const cString = (text: string): Uint8Array => Buffer.from(`${text}\0`);

const int32 = (value: number): Uint8Array => new Uint8Array(new Int32Array([value]).buffer);

export const createSys = (backend: Backend): Sys => {
  const loaded = new Map<string, (...args: Argument[]) => number>();

  const raw = (name: string, signature: string, args: Argument[]): number => {
    const key = `${name}:${signature}`;
    let fn = loaded.get(key);
    if (fn === undefined) {
      fn = backend.load(name, signature);
      loaded.set(key, fn);
    }
    return fn(...args);
  };

  const call = (name: string, signature: string, args: Argument[], subject?: string): number => {
    for (;;) {
      const result = raw(name, signature, args);
      if (result >= 0) return result;
      const errno = backend.errno();
      if (errno !== EINTR) throw new SystemError(name, errno, subject);
    }
  };

  const callOrBlock = (name: string, signature: string, args: Argument[]): number => {
    for (;;) {
      const result = raw(name, signature, args);
      if (result >= 0) return result;
      const errno = backend.errno();
      if (errno === EAGAIN) return WOULD_BLOCK;
      if (errno !== EINTR) throw new SystemError(name, errno);
    }
  };

  return {
    socket: (domain, type, protocol) => call('socket', 'iii', [domain, type, protocol]),
    bind: (fd, address) => call('bind', 'ipi', [fd, address, address.length]),
    connect: (fd, address) => call('connect', 'ipi', [fd, address, address.length]),
    setsockopt: (fd, level, name, value) => {
      const bytes = typeof value === 'number' ? int32(value) : value;
      return call('setsockopt', 'iiipi', [fd, level, name, bytes, bytes.length]);
    },
    getsockname: (fd, address) => {
      const length = int32(address.length);
      call('getsockname', 'ipp', [fd, address, length]);
      return new DataView(length.buffer).getInt32(0, true);
    },
    sendto: (fd, data, flags, address) =>
      callOrBlock('sendto', 'ipnipi', [fd, data, data.length, flags, address, address?.length ?? 0]),
    recvfrom: (fd, data, flags, address) =>
      callOrBlock('recvfrom', 'ipnipp', [
        fd,
        data,
        data.length,
        flags,
        address,
        address && int32(address.length),
      ]),
    poll: (fds, timeoutMs) => call('poll', 'pni', [fds, fds.length >> 3, timeoutMs]),
    ioctl: (fd, request, argument) =>
      call('ioctl', typeof argument === 'number' ? 'inn' : 'inp', [fd, request, argument]),
    flock: (fd, operation) => callOrBlock('flock', 'ii', [fd, operation]),
    setns: (fd, type) => call('setns', 'ii', [fd, type]),
    unshare: (flags) => call('unshare', 'i', [flags]),
    mount: (source, target, type, flags, data) =>
      call(
        'mount',
        'pppnp',
        [cString(source), cString(target), cString(type), flags, data === undefined ? null : cString(data)],
        target,
      ),
    umount2: (target, flags) => call('umount2', 'pi', [cString(target), flags], target),
    prctl: (option, argument) => call('prctl', 'innnn', [option, argument, 0, 0, 0]),
    writeInBackground: (fd, data) => backend.writeInBackground?.(fd, data) ?? false,
    exit: (status) => {
      raw('_exit', 'i', [status]);
      throw new SystemError('_exit', 0);
    },
  };
};
