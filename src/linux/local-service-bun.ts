/**
 * A service of this machine's own, on Bun, by system calls.
 * Sources: unix(7), accept(2), ppoll(2), prctl(2), include/uapi/asm-generic/socket.h.
 * @module
 */
import { EAGAIN } from './errno.ts';
import { closeSync, openSync } from './files-bun.ts';
import type { LocalService, Peer } from './local-service.ts';
import {
  AF_UNIX,
  MSG_DONTWAIT,
  POLLIN,
  PR_SET_PDEATHSIG,
  SOCK_CLOEXEC,
  SOL_SOCKET,
  SystemError,
} from './sys.ts';
import { type Call, callAgain, lastErrno } from './syscall-bun.ts';

const SOCK_SEQPACKET = 5;
const SO_PEERCRED = 17;
const MSG_NOSIGNAL = 0x4000;
const AT_FDCWD = -100;
const pathSize = 108;

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(`${text}\0`);

function must(name: Call, ...args: (number | Uint8Array | null)[]): number {
  const result = callAgain(name, ...args);
  if (result < 0) throw new SystemError(name, lastErrno());
  return result;
}

function listen(path: string, backlog: number): number {
  const name = bytesOf(path);
  if (name.length > pathSize) throw new RangeError(`${path} is too long for a socket`);
  const address = new Uint8Array(2 + name.length);
  address[0] = AF_UNIX;
  address.set(name, 2);
  const fd = must('socket', AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  try {
    must('bind', fd, address, address.length);
    must('listen', fd, backlog);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function peerOf(connection: number): Peer {
  const credentials = new Int32Array(3);
  const length = Int32Array.of(12);
  must(
    'getsockopt',
    connection,
    SOL_SOCKET,
    SO_PEERCRED,
    new Uint8Array(credentials.buffer),
    new Uint8Array(length.buffer),
  );
  return { pid: credentials[0] ?? 0, uid: credentials[1] ?? -1 };
}

function receive(connection: number, into: Uint8Array): number {
  const length = callAgain('recvfrom', connection, into, into.length, MSG_DONTWAIT, null, null);
  if (length >= 0) return length;
  return lastErrno() === EAGAIN ? -1 : 0;
}

/** struct pollfd for each, and struct timespec. */
function waitForAny(descriptors: readonly number[], milliseconds: number): readonly number[] {
  const polled = new DataView(new ArrayBuffer(8 * descriptors.length));
  descriptors.forEach((fd, index) => {
    polled.setInt32(8 * index, fd, true);
    polled.setInt16(8 * index + 4, POLLIN, true);
  });
  const time = new BigInt64Array(2);
  time[0] = BigInt(Math.floor(milliseconds / 1000));
  time[1] = BigInt(Math.floor((milliseconds % 1000) * 1e6));
  const bytes = new Uint8Array(polled.buffer);
  const ready = must('ppoll', bytes, descriptors.length, new Uint8Array(time.buffer), null, 0);
  return ready === 0 ? [] : descriptors.filter((_, index) => polled.getInt16(8 * index + 6, true) !== 0);
}

function readlink(path: string): string {
  const bytes = new Uint8Array(4096);
  const length = must('readlinkat', AT_FDCWD, bytesOf(path), bytes, bytes.length);
  return new TextDecoder().decode(bytes.subarray(0, length));
}

function detach(): void {
  callAgain('setsid');
  must('chdir', bytesOf('/'));
  const nothing = openSync('/dev/null', 2);
  for (const fd of [0, 1, 2]) if (fd !== nothing) must('dup3', nothing, fd, 0);
  if (nothing > 2) closeSync(nothing);
}

export const localService: LocalService | undefined = {
  listen,
  accept: (listener) => callAgain('accept4', listener, null, null, SOCK_CLOEXEC),
  peerOf,
  receive,
  send: (connection, message) =>
    callAgain('sendto', connection, message, message.length, MSG_NOSIGNAL | MSG_DONTWAIT, null) ===
    message.length,
  waitForAny,
  readlink,
  detach,
  outliveParent: () => {
    must('prctl', PR_SET_PDEATHSIG, 0, 0, 0, 0);
  },
};
