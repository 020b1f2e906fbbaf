/**
 * One TCP stream between two pods, timed. Both ends are plain descriptors driven from one loop: the sender copies out of one
 * buffer, the receiver lets the kernel throw the bytes away (MSG_TRUNC, tcp(7)), so that the mesh is measured and not us.
 * @module
 */
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { sys } from '#sys';
import { MSG_DONTWAIT, POLLIN, WOULD_BLOCK } from '../../linux/sys.ts';
import { bindStream, connectStream, descriptorOf, listenOn } from '../namespace-sockets.ts';

const PORT = 5001;
const CONNECT_TIMEOUT_MS = 8000;
/** Slow start and the first allocation of buffers are not counted. */
const RAMP_MS = 300;
const DURATION_MS = 1500;
const CHUNK = 262_144;
const POLL_MS = 1;
const POLLOUT = 4;
const MSG_TRUNC = 0x20;
const MSG_NOSIGNAL = 0x4000;

export interface StreamEnd {
  readonly netns: string;
  readonly ip: string;
}

const connectPair = async (from: StreamEnd, to: StreamEnd): Promise<[Socket, Socket]> => {
  const server = createServer({ pauseOnConnect: true });
  await listenOn(server, bindStream(to.netns, to.ip, PORT));
  try {
    const signal = AbortSignal.timeout(CONNECT_TIMEOUT_MS);
    const accepted = once(server, 'connection', { signal });
    const sender = connectStream(from.netns, to.ip, PORT);
    const failed = once(sender, 'close').then(() => {
      throw new Error('the connection was refused');
    });
    sender.on('error', () => {});
    try {
      const [receiver] = (await Promise.race([accepted, failed])) as [Socket];
      receiver.on('error', () => {});
      return [sender, receiver];
    } catch (error) {
      sender.destroy();
      throw signal.aborted
        ? new Error(`no connection within ${CONNECT_TIMEOUT_MS / 1000} s`, { cause: error })
        : error;
    } finally {
      failed.catch(() => {});
      accepted.catch(() => {});
    }
  } finally {
    server.close();
  }
};

const pump = async (sender: number, receiver: number, signal: AbortSignal | undefined): Promise<number> => {
  const chunk = Buffer.alloc(CHUNK);
  const polled = new Int32Array([sender, POLLOUT, receiver, POLLIN]);
  const started = performance.now();
  let counted = 0;
  let countedFrom = 0;
  for (;;) {
    const now = performance.now();
    if (countedFrom === 0 && now - started >= RAMP_MS) countedFrom = now;
    if (countedFrom !== 0 && now - countedFrom >= DURATION_MS)
      return (counted * 8) / ((now - countedFrom) * 1000);
    signal?.throwIfAborted();
    polled[1] = POLLOUT;
    polled[3] = POLLIN;
    sys.poll(new Uint8Array(polled.buffer), POLL_MS);
    sys.sendto(sender, chunk, MSG_DONTWAIT | MSG_NOSIGNAL, null);
    for (;;) {
      const length = sys.recvfrom(receiver, chunk, MSG_DONTWAIT | MSG_TRUNC, null);
      if (length === 0) throw new Error('the stream was closed');
      if (length === WOULD_BLOCK) break;
      if (countedFrom !== 0) counted += length;
    }
    await nextTurn();
  }
};

/** Megabits a second of one TCP stream, without its ramp. */
export async function measureStream(from: StreamEnd, to: StreamEnd, signal?: AbortSignal): Promise<number> {
  const [sender, receiver] = await connectPair(from, to);
  try {
    return await pump(descriptorOf(sender), descriptorOf(receiver), signal);
  } finally {
    sender.destroy();
    receiver.destroy();
  }
}
