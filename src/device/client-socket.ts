/**
 * A connection to the control socket that is read into one buffer of ours. Node reads into a buffer that it keeps for all
 * sockets and never clears, and what comes over the control socket has keys in it.
 * Source: node:net, `onread` of new net.Socket, which a server's own connections cannot be given.
 * @module
 */
import { Socket } from 'node:net';
import * as libc from '../linux/libc.ts';

/** fcntl(2), F_DUPFD_CLOEXEC. */
const F_DUPFD_CLOEXEC = 1030;
/** For all connections: what is in it has been taken and wiped before the next read. */
const chunk = Buffer.alloc(64 * 1024);

/**
 * Takes over a connection just accepted and paused. `onData` is lent each chunk until it returns, and wipes it.
 * undefined: there are no descriptors left.
 */
export function clientSocket(accepted: Socket, onData: (chunk: Uint8Array) => void): Socket | undefined {
  const { _handle: handle } = accepted as unknown as { _handle: { fd: number } | null };
  const fd = handle === null ? -1 : libc.fcntl(handle.fd, F_DUPFD_CLOEXEC, 0);
  accepted.destroy();
  if (fd < 0) return undefined;
  return clientOn(fd, onData);
}

/** The same for the descriptor of a connection, which is the socket's from now on. */
export function clientOn(fd: number, onData: (chunk: Uint8Array) => void): Socket {
  const callback = (length: number, buffer: Uint8Array): boolean => {
    onData(buffer.subarray(0, length));
    return true;
  };
  const onread = { buffer: chunk, callback };
  // A client may close its end when it has asked, and is owed the answer.
  const client = new Socket({ fd, allowHalfOpen: true, onread } as ConstructorParameters<typeof Socket>[0]);
  client.resume();
  return client;
}
