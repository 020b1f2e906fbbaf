/**
 * A resolver for this machine alone: names of the cluster go to the cluster's servers, all others to those that were there
 * before. It looks at one name and passes messages on as they are; it caches nothing and makes up nothing.
 * Source: RFC 1035 §4.1 (message), §4.2 (UDP, and TCP with two bytes of length); RFC 5452 §4 (an answer must have come from whom
 * it was asked); RFC 7766 (DNS over TCP).
 * @module
 */
import { randomInt } from 'node:crypto';
import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

export interface DnsServer {
  readonly address: string;
  readonly port: number;
}

export interface DnsForwarderOptions {
  /** Without a dot at either end, lower case; names in it go to `clusterServers`. */
  readonly domains: readonly string[];
  readonly clusterServers: readonly DnsServer[];
  readonly otherServers: readonly DnsServer[];
  /** Loopback. */
  readonly listen: DnsServer;
  readonly patienceMs?: number;
}

const HEADER_LENGTH = 12;
const LONGEST_NAME = 255;
const RESPONSE = 0x80;
const SERVFAIL = 2;
const PATIENCE_MS = 3000;
/** Questions under way at once: a program that asks without end must not eat the machine. */
const MOST_UNDER_WAY = 1000;
const MOST_STREAMS = 100;
const IDLE_MS = 10_000;

export class DnsForwarder {
  readonly #options: DnsForwarderOptions;
  readonly #udp: DatagramSocket;
  readonly #tcp: Server;
  readonly #streams = new Set<Socket>();
  #underWay = 0;

  constructor(options: DnsForwarderOptions) {
    this.#options = options;
    this.#udp = createSocket(options.listen.address.includes(':') ? 'udp6' : 'udp4');
    this.#udp.on('message', (query, from) => {
      void this.#answer(query, askByDatagram, (answer) =>
        // Whoever has gone meanwhile gets no answer.
        this.#udp.send(answer, from.port, from.address, () => {}),
      );
    });
    this.#tcp = createServer((stream) => this.#serve(stream));
    this.#tcp.maxConnections = MOST_STREAMS;
  }

  /** @throws when the address is taken. */
  async start(): Promise<DnsServer> {
    const { address, port } = this.#options.listen;
    try {
      this.#udp.bind(port, address);
      await once(this.#udp, 'listening');
      const bound = this.#udp.address().port;
      this.#tcp.listen(bound, address);
      await once(this.#tcp, 'listening');
      this.#udp.on('error', () => {});
      this.#tcp.on('error', () => {});
      return { address, port: bound };
    } catch (error) {
      this.close();
      throw error;
    }
  }

  close(): void {
    try {
      this.#udp.close();
    } catch {
      // it never was open
    }
    this.#tcp.close();
    for (const stream of this.#streams) stream.destroy();
  }

  #serve(stream: Socket): void {
    this.#streams.add(stream);
    stream.on('close', () => this.#streams.delete(stream));
    stream.on('error', () => {});
    stream.setTimeout(IDLE_MS, () => stream.destroy());
    let held: Buffer = Buffer.alloc(0);
    stream.on('data', (piece) => {
      held = Buffer.concat([held, piece]);
      while (held.length >= 2 && held.length >= 2 + held.readUInt16BE(0)) {
        const end = 2 + held.readUInt16BE(0);
        const query = held.subarray(2, end);
        held = held.subarray(end);
        void this.#answer(query, askByStream, (answer) => {
          if (!stream.destroyed) stream.write(framed(answer));
        });
      }
    });
  }

  async #answer(query: Buffer, ask: Ask, reply: (answer: Buffer) => void): Promise<void> {
    const name = questionName(query);
    if (name === null || this.#underWay >= MOST_UNDER_WAY) return;
    const { domains, clusterServers, otherServers, patienceMs = PATIENCE_MS } = this.#options;
    const ofCluster = domains.some((domain) => name === domain || name.endsWith(`.${domain}`));
    const servers = ofCluster ? clusterServers : otherServers;
    this.#underWay++;
    try {
      for (const server of servers) {
        const answer = await ask(query, server, patienceMs);
        if (answer !== null) return reply(answer);
      }
      reply(failure(query));
    } finally {
      this.#underWay--;
    }
  }
}

/** The name of the first question in lower case; null when it is no query. */
export const questionName = (message: Uint8Array): string | null => {
  if (message.length < HEADER_LENGTH + 5) return null;
  if (((message[2] ?? 0) & RESPONSE) !== 0 || (message[4] ?? 0) * 256 + (message[5] ?? 0) === 0) return null;
  const labels: string[] = [];
  let at = HEADER_LENGTH;
  for (;;) {
    const length = message[at];
    if (length === undefined || length > 63 || at > HEADER_LENGTH + LONGEST_NAME) return null;
    at += 1;
    if (length === 0) return at + 4 <= message.length ? labels.join('.') : null;
    if (at + length > message.length) return null;
    labels.push(
      Buffer.from(message.subarray(at, at + length))
        .toString('latin1')
        .toLowerCase(),
    );
    at += length;
  }
};

/** "Server failure", with the question as it was asked. */
const failure = (query: Buffer): Buffer => {
  const answer = Buffer.from(query);
  answer[2] = (answer[2] ?? 0) | RESPONSE;
  answer[3] = ((answer[3] ?? 0) & 0x70) | 0x80 | SERVFAIL;
  return answer;
};

const framed = (message: Buffer): Buffer => {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
};

/** Null when nothing came in time. */
type Ask = (query: Buffer, server: DnsServer, patienceMs: number) => Promise<Buffer | null>;

/** From a port of its own and with a number of its own: a forged answer would have to guess both. */
const askByDatagram: Ask = (query, { address, port }, patienceMs) =>
  new Promise((resolve) => {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    const id = randomInt(0x1_0000);
    const timer = setTimeout(() => end(null), patienceMs);
    const end = (answer: Buffer | null): void => {
      clearTimeout(timer);
      socket.removeAllListeners();
      socket.on('error', () => {});
      try {
        socket.close();
      } catch {
        // it is closed
      }
      resolve(answer);
    };
    socket.on('error', () => end(null));
    socket.on('message', (answer) => {
      if (answer.length < HEADER_LENGTH || answer.readUInt16BE(0) !== id) return;
      end(withId(answer, query.readUInt16BE(0)));
    });
    // A connected socket hears its server only, and that nobody listens there.
    socket.connect(port, address, (error?: Error) => {
      if (error !== undefined) end(null);
      else socket.send(withId(query, id));
    });
  });

const askByStream: Ask = (query, { address, port }, patienceMs) =>
  new Promise((resolve) => {
    const stream = connect(port, address, () => stream.write(framed(query)));
    let held: Buffer = Buffer.alloc(0);
    const end = (answer: Buffer | null): void => {
      resolve(answer);
      stream.destroy();
    };
    stream.setTimeout(patienceMs, () => end(null));
    stream.on('error', () => end(null));
    stream.on('close', () => resolve(null));
    stream.on('data', (piece) => {
      held = Buffer.concat([held, piece]);
      if (held.length >= 2 && held.length >= 2 + held.readUInt16BE(0))
        end(held.subarray(2, 2 + held.readUInt16BE(0)));
    });
  });

const withId = (message: Buffer, id: number): Buffer => {
  const copy = Buffer.from(message);
  copy.writeUInt16BE(id, 0);
  return copy;
};
