/**
 * Serves the control socket: any number of clients at once, several operations a connection, replies no faster than
 * the client reads them.
 * @module
 */
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { errnoAdvice, errnoText } from '../linux/errno.ts';
import * as libc from '../linux/libc.ts';
import { UapiConversation } from '../noise/uapi-conversation.ts';
import { formatGet } from '../noise/uapi-text.ts';
import { clientOn, clientSocket } from './client-socket.ts';
import type { Device } from './device.ts';
import { DeviceError } from './device-error.ts';

/** Connections at once; `wg` and supervisors use one or two. */
const MAX_CLIENTS = 1024;
/** Answers that may wait for a client: then nothing more is read from it until it has read some. */
const MAX_WAITING = 16;
/** How often to look whether the clients are done, in ms. */
const LOOK_INTERVAL = 2;
/** What a client may bring before its text is worth a collection of garbage, in bytes: some 500 peers. */
const LONG_TEXT = 64 << 10;
/** fcntl(2). */
const F_DUPFD_CLOEXEC = 1030;

interface Client {
  readonly socket: Socket;
  readonly descriptor: number;
  /** Nothing has been asked that is not answered. */
  readonly isIdle: () => boolean;
}

export class UapiServer {
  readonly #device: Device;
  readonly #onFailure: (error: Error) => void;
  readonly #clients = new Set<Client>();
  /** Ours beside the one the server listens on: closing that one must not be the end. */
  readonly #listener: number;
  #server: Server;
  #isPaused = false;

  /** `listener` is a listening unix socket; it is ours from now on, as are `connections`. */
  constructor(
    device: Device,
    listener: number,
    onFailure: (error: Error) => void,
    connections: readonly number[] = [],
  ) {
    this.#device = device;
    this.#onFailure = onFailure;
    this.#listener = listener;
    this.#server = this.#listen();
    for (const fd of connections) this.#serve((onData) => clientOn(fd, onData));
  }

  #listen(): Server {
    const server = createServer({ pauseOnConnect: true }, (accepted) => {
      if (this.#clients.size >= MAX_CLIENTS) accepted.destroy();
      else this.#serve((onData) => clientSocket(accepted, onData));
    });
    server.on('error', this.#onFailure);
    const fd = libc.fcntl(this.#listener, F_DUPFD_CLOEXEC, 0);
    if (fd < 0) {
      const errno = libc.errno();
      const why = `The control socket cannot be served: ${errnoText(errno)}.${errnoAdvice(errno)}`;
      throw new DeviceError('ERR_DEVICE_SOCKET', why);
    }
    server.listen({ fd });
    return server;
  }

  get listener(): number {
    return this.#listener;
  }

  /**
   * Takes no more connections, which wait to be accepted by whoever does that next, and no more questions. What has
   * been asked is answered, for up to `patience` ms. Resolves with the descriptors of the connections at rest.
   */
  async pause(patience: number): Promise<number[]> {
    this.#isPaused = true;
    this.#server.close();
    const resting = new Set<Client>();
    const deadline = performance.now() + patience;
    for (;;) {
      for (const client of this.#clients) {
        if (resting.has(client) || !client.isIdle()) continue;
        client.socket.pause();
        resting.add(client);
      }
      const isQuiet = [...this.#clients].every((client) => resting.has(client));
      if (isQuiet || performance.now() > deadline) break;
      await sleep(LOOK_INTERVAL);
    }
    for (const { socket } of this.#clients) socket.pause();
    return [...resting].filter((client) => this.#clients.has(client)).map(({ descriptor }) => descriptor);
  }

  /** As if nothing had been. */
  resume(): void {
    this.#isPaused = false;
    this.#server = this.#listen();
    for (const { socket } of this.#clients) socket.resume();
  }

  #serve(open: (onData: (chunk: Uint8Array) => void) => Socket | undefined): void {
    const client = open((chunk) => take(chunk));
    if (client === undefined) return;
    const isIdle = (): boolean =>
      waiting === 0 && conversation.isIdle && client.writableLength === 0 && !client.readableEnded;
    const { _handle: handle } = client as unknown as { readonly _handle: { readonly fd: number } };
    const entry = { socket: client, descriptor: handle.fd, isIdle };
    this.#clients.add(entry);
    let taken = 0;
    client.on('close', () => {
      this.#clients.delete(entry);
      if (taken > LONG_TEXT) this.#device.collectSoon();
    });
    // A client that goes away in the middle is its own affair.
    client.on('error', () => client.destroy());
    // Answers leave in the order of the questions, though `get` takes a moment.
    let turn = Promise.resolve();
    let waiting = 0;
    const inTurn = (work: () => Promise<void>): void => {
      waiting += 1;
      if (waiting === MAX_WAITING) client.pause();
      turn = turn
        .then(work)
        .catch((error: unknown) => {
          const text = `UAPI: ${error instanceof Error ? error.message : String(error)}`;
          // A client that goes away before its answer is no fault of ours, and may do so as often as it likes.
          if (client.destroyed || !client.writable) this.#device.log.verbose(text);
          else this.#device.log.error(text);
          client.destroy();
        })
        .finally(() => {
          waiting -= 1;
          if (waiting < MAX_WAITING && !this.#isPaused) client.resume();
        });
    };
    const conversation = new UapiConversation({
      get: (operation) => inTurn(() => this.#get(client, operation)),
      set: () => this.#device.configure(),
      reply: (text) => inTurn(() => send(client, Buffer.from(text, 'latin1'))),
    });
    const take = (chunk: Uint8Array): void => {
      taken += chunk.length;
      if (!conversation.push(chunk)) inTurn(async () => client.destroySoon());
    };
    client.on('end', () => {
      conversation.end();
      inTurn(async () => client.destroySoon());
    });
  }

  async #get(client: Socket, operation: 'get' | 'kilowire_get'): Promise<void> {
    const metrics = operation === 'get' ? undefined : await this.#device.metrics();
    for (const chunk of formatGet(await this.#device.status(metrics !== undefined), metrics)) {
      if (client.destroyed) return;
      await send(client, chunk);
    }
  }

  close(): void {
    this.#server.close();
    libc.close(this.#listener);
    for (const { socket } of this.#clients) socket.destroy();
  }
}

/** Writes, and waits when the client is slow. The bytes are wiped once they are the system's. */
async function send(client: Socket, bytes: Uint8Array): Promise<void> {
  if (client.destroyed) return;
  const flushed = client.write(bytes, () => {
    bytes.fill(0);
  });
  if (!flushed) await Promise.race([once(client, 'drain'), once(client, 'close')]);
}
