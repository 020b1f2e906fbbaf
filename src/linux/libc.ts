/**
 * The C library calls of the packet path, through koffi (about 150–250 ns each).
 * Addresses are plain numbers (`uintptr_t`), so that nothing is allocated per call; a call that fails returns -1 and
 * `errno()` read at once tells why. Numbers are those of Linux on x86-64 and arm64 (asm-generic), which agree here.
 * @module
 */
import koffi from 'koffi';

const libc = koffi.load('libc.so.6');

export const libcOpen = libc.func('int open(const char *path, int flags, int mode)') as (
  path: string,
  flags: number,
  mode: number,
) => number;
export const close = libc.func('int close(int fd)') as (fd: number) => number;
export const read = libc.func('int read(int fd, uintptr_t buffer, size_t length)') as (
  fd: number,
  address: number,
  length: number,
) => number;
export const write = libc.func('int write(int fd, uintptr_t buffer, size_t length)') as (
  fd: number,
  address: number,
  length: number,
) => number;
export const sendmsg = libc.func('int sendmsg(int fd, uintptr_t message, int flags)') as (
  fd: number,
  address: number,
  flags: number,
) => number;
export const recvmsg = libc.func('int recvmsg(int fd, uintptr_t message, int flags)') as (
  fd: number,
  address: number,
  flags: number,
) => number;
/** getrandom(2); up to 256 bytes are never cut short, and more only by a signal. */
export const getrandom = libc.func('long getrandom(uintptr_t buffer, size_t length, unsigned int flags)') as (
  address: number,
  length: number,
  flags: number,
) => number;
/** poll(2): `address` of `count` struct pollfd (i32 fd, i16 events, i16 revents); `timeout` in ms, -1 for ever. */
export const poll = libc.func('int poll(uintptr_t fds, unsigned long count, int timeout)') as (
  address: number,
  count: number,
  timeout: number,
) => number;
export const ioctlBuffer = libc.func('int ioctl(int fd, unsigned long request, void *argument)') as (
  fd: number,
  request: number,
  argument: Uint8Array,
) => number;
export const ioctlNumber = libc.func('int ioctl(int fd, unsigned long request, unsigned long argument)') as (
  fd: number,
  request: number,
  argument: number,
) => number;
export const socket = libc.func('int socket(int domain, int type, int protocol)') as (
  domain: number,
  type: number,
  protocol: number,
) => number;
export const bind = libc.func('int bind(int fd, void *address, uint32_t length)') as (
  fd: number,
  address: Uint8Array,
  length: number,
) => number;
export const connect = libc.func('int connect(int fd, void *address, uint32_t length)') as (
  fd: number,
  address: Uint8Array,
  length: number,
) => number;
export const listen = libc.func('int listen(int fd, int backlog)') as (fd: number, backlog: number) => number;
/** accept4(2) without asking for the other side's address. */
export const accept4 = libc.func('int accept4(int fd, uintptr_t address, uintptr_t length, int flags)') as (
  fd: number,
  address: number,
  length: number,
  flags: number,
) => number;
/** What has no function of its own in older C libraries. */
export const syscall = libc.func('long syscall(long number, long a, long b, long c, long d)') as (
  number: number,
  a: number,
  b: number,
  c: number,
  d: number,
) => number;
export const setsockopt = libc.func(
  'int setsockopt(int fd, int level, int option, void *value, uint32_t length)',
) as (fd: number, level: number, option: number, value: Uint8Array, length: number) => number;
export const getsockopt = libc.func(
  'int getsockopt(int fd, int level, int option, void *value, void *length)',
) as (fd: number, level: number, option: number, value: Uint8Array, length: Uint8Array) => number;
export const getsockname = libc.func('int getsockname(int fd, void *address, void *length)') as (
  fd: number,
  address: Uint8Array,
  length: Uint8Array,
) => number;
export const eventfd = libc.func('int eventfd(unsigned int initial, int flags)') as (
  initial: number,
  flags: number,
) => number;
export const fcntl = libc.func('int fcntl(int fd, int command, int argument)') as (
  fd: number,
  command: number,
  argument: number,
) => number;
export const umask = libc.func('unsigned int umask(unsigned int mask)') as (mask: number) => number;

/** errno of the call just made on this thread. */
export const errno = (): number => koffi.errno();

/** Where the first byte of an ArrayBuffer or SharedArrayBuffer lies in this process; WASM memories never move. */
export const addressOf = (bytes: Uint8Array): number => Number(koffi.address(bytes));

/** errno values the data plane tells apart (asm-generic/errno-base.h, errno.h). */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EBUSY: 16,
  ENODEV: 19,
  EINVAL: 22,
  EBADFD: 77,
  EMSGSIZE: 90,
  EAFNOSUPPORT: 97,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
  ENETDOWN: 100,
  ENETUNREACH: 101,
  ECONNABORTED: 103,
  ENOBUFS: 105,
  ECONNREFUSED: 111,
  EHOSTUNREACH: 113,
} as const;

const names = new Map<number, string>(Object.entries(Errno).map(([name, value]) => [value, name]));
/** `EPERM` for 1, `errno 200` for one without a name here. */
export const errnoName = (value: number): string => names.get(value) ?? `errno ${value}`;

/** open(2) and fcntl(2) flags. */
export const O_RDWR = 2;
export const O_NONBLOCK = 0o4000;
export const O_CLOEXEC = 0o2000000;

/** poll(2) events. */
export const POLLIN = 1;
export const POLLOUT = 4;
export const POLLERR = 8;
export const POLLHUP = 16;
export const POLLNVAL = 32;
