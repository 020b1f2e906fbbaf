/**
 * Serves the control socket: any number of clients at once, several operations a connection, replies no faster than
 * the client reads them.
 * @module
 */
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { UapiConversation } from '../noise/uapi-conversation.ts';
import { formatGet } from '../noise/uapi-text.ts';
import { clientSocket } from './client-socket.ts';
import type { Device } from './device.ts';

/** Connections at once; `wg` and supervisors use one or two. */
const MAX_CLIENTS = 1024;
/** Answers that may wait for a client: then nothing more is read from it until it has read some. */
const MAX_WAITING = 16;

export class UapiServer {
  readonly #server: Server;
  readonly #device: Device;
  readonly #clients = new Set<Socket>();

  /** `listener` is a listening unix socket; it is ours from now on. */
  constructor(device: Device, listener: number, onFailure: (error: Error) => void) {
    this.#device = device;
    this.#server = createServer({ pauseOnConnect: true }, (accepted) => this.#serve(accepted));
    this.#server.on('error', onFailure);
    this.#server.listen({ fd: listener });
  }

  #serve(accepted: Socket): void {
    const isFull = this.#clients.size >= MAX_CLIENTS;
    const client = isFull ? undefined : clientSocket(accepted, (chunk) => take(chunk));
    if (client === undefined) {
      accepted.destroy();
      return;
    }
    this.#clients.add(client);
    client.on('close', () => this.#clients.delete(client));
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
          if (waiting < MAX_WAITING) client.resume();
        });
    };
    const conversation = new UapiConversation({
      get: (operation) => inTurn(() => this.#get(client, operation)),
      set: () => this.#device.configure(),
      reply: (text) => inTurn(() => send(client, Buffer.from(text, 'latin1'))),
    });
    const take = (chunk: Uint8Array): void => {
      if (!conversation.push(chunk)) inTurn(async () => client.destroySoon());
    };
    client.on('end', () => {
      conversation.end();
      inTurn(async () => client.destroySoon());
    });
  }

  async #get(client: Socket, operation: 'get' | 'kilowire_get'): Promise<void> {
    const metrics = operation === 'get' ? undefined : await this.#device.metrics();
    for (const chunk of formatGet(await this.#device.status(), metrics)) {
      if (client.destroyed) return;
      await send(client, chunk);
    }
  }

  close(): void {
    this.#server.close();
    for (const client of this.#clients) client.destroy();
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
