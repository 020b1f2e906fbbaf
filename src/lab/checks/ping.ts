/**
 * Pings from inside many namespaces at once: one raw socket each, all polled from one loop.
 * Nothing is repeated for one that was lost: what is sent and not answered counts as loss. A packet that has to wait for a
 * handshake is answered late, not lost, so the patience is that of a handshake with one retry.
 * Sources: raw(7), poll(2), RFC 792.
 * @module
 */
import { randomInt } from 'node:crypto';
import { closeSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { sys } from '#sys';
import { createEchoRequest, readEchoReply } from '../../linux/icmp.ts';
import { MSG_DONTWAIT, POLLIN, WOULD_BLOCK } from '../../linux/sys.ts';
import { openPingSocket, socketAddress } from '../namespace-sockets.ts';

export interface PingPair {
  /** Whoever pings, and the namespace it does it in. */
  readonly from: string;
  readonly netns: string;
  readonly to: string;
  readonly ip: string;
}

export interface PingResult extends PingPair {
  readonly sent: number;
  readonly received: number;
  /** The fastest round trip; null: no answer. */
  readonly rttMs: number | null;
}

export interface PingOptions {
  /** Requests per pair. */
  readonly count: number;
  readonly intervalMs: number;
  /** How long after the last request answers are waited for. */
  readonly patienceMs: number;
  readonly signal?: AbortSignal | undefined;
}

interface Tally {
  readonly pair: PingPair;
  readonly address: Uint8Array;
  readonly sentAt: Float64Array;
  sent: number;
  received: number;
  rttMs: number | null;
}

interface Source {
  readonly fd: number;
  readonly tallies: Tally[];
}

const PACKET_LENGTH = 1500;
const POLL_MS = 1;
const BURST = 4;

/** The sequence number says which pair and which round: 16 bits hold 4096 pairs of one source times 16 rounds. */
const MAX_COUNT = 16;

const openSources = (pairs: readonly PingPair[], count: number): Source[] => {
  const sources = new Map<string, Source>();
  for (const pair of pairs) {
    let source = sources.get(pair.netns);
    if (source === undefined) {
      source = { fd: openPingSocket(pair.netns), tallies: [] };
      sources.set(pair.netns, source);
    }
    source.tallies.push({
      pair,
      address: socketAddress(pair.ip, 0),
      sentAt: new Float64Array(count),
      sent: 0,
      received: 0,
      rttMs: null,
    });
  }
  return [...sources.values()];
};

const send = (fd: number, tally: Tally, id: number, sequence: number): void => {
  const request = createEchoRequest({ id, sequence });
  tally.sentAt[sequence % MAX_COUNT] = performance.now();
  tally.sent += 1;
  try {
    sys.sendto(fd, request, MSG_DONTWAIT, tally.address);
  } catch {
    // No route, or no neighbour: it counts as sent and not answered.
  }
};

/** One round, a request of each source in turn. */
function* sendRound(sources: readonly Source[], id: number, round: number): Generator<void, void, void> {
  const longest = Math.max(...sources.map(({ tallies }) => tallies.length));
  for (let index = 0; index < longest; index += 1) {
    for (const { fd, tallies } of sources) {
      const tally = tallies[index];
      if (tally === undefined) continue;
      send(fd, tally, id, index * MAX_COUNT + round);
      yield;
    }
  }
}

const receive = (source: Source, id: number, buffer: Uint8Array): void => {
  for (;;) {
    const length = sys.recvfrom(source.fd, buffer, MSG_DONTWAIT, null);
    if (length === WOULD_BLOCK) return;
    const reply = readEchoReply(buffer.subarray(0, length));
    if (reply === null || reply.id !== id) continue;
    const tally = source.tallies[Math.floor(reply.sequence / MAX_COUNT)];
    const sentAt = tally?.sentAt[reply.sequence % MAX_COUNT];
    if (tally === undefined || sentAt === undefined || sentAt === 0 || reply.from !== tally.pair.ip) continue;
    tally.sentAt[reply.sequence % MAX_COUNT] = 0; // a duplicate does not make up for a loss
    tally.received += 1;
    const rttMs = performance.now() - sentAt;
    tally.rttMs = tally.rttMs === null ? rttMs : Math.min(tally.rttMs, rttMs);
  }
};

/** Pings every pair `count` times; answers when all replies are in or patience has run out. */
export async function pingAll(pairs: readonly PingPair[], options: PingOptions): Promise<PingResult[]> {
  const count = Math.min(options.count, MAX_COUNT);
  const id = randomInt(1, 0xffff);
  const sources = openSources(pairs, count);
  const polled = new Int32Array(sources.length * 2);
  sources.forEach(({ fd }, index) => {
    polled[index * 2] = fd;
  });
  const buffer = new Uint8Array(PACKET_LENGTH);
  const tallies = sources.flatMap((source) => source.tallies);
  try {
    let round = 0;
    let nextRoundAt = performance.now();
    let sending: Generator<void, void, void> | null = null;
    let deadline = Number.POSITIVE_INFINITY;
    for (;;) {
      options.signal?.throwIfAborted();
      if (sending === null && round < count && performance.now() >= nextRoundAt) {
        sending = sendRound(sources, id, round);
        round += 1;
        nextRoundAt = performance.now() + options.intervalMs;
      }
      // A few at a time: a burst would measure how long our own packets wait for each other.
      for (let sent = 0; sending !== null && sent < BURST; sent += 1) if (sending.next().done) sending = null;
      if (sending === null && round === count && deadline === Number.POSITIVE_INFINITY)
        deadline = performance.now() + options.patienceMs;
      for (let index = 0; index < sources.length; index += 1) polled[index * 2 + 1] = POLLIN;
      const ready = sys.poll(new Uint8Array(polled.buffer), POLL_MS);
      if (ready > 0) for (const source of sources) receive(source, id, buffer);
      if (deadline !== Number.POSITIVE_INFINITY && tallies.every((tally) => tally.received === tally.sent))
        break;
      if (performance.now() > deadline) break;
      await nextTurn();
    }
  } finally {
    for (const { fd } of sources) closeSync(fd);
  }
  return tallies.map(({ pair, sent, received, rttMs }) => ({ ...pair, sent, received, rttMs }));
}
