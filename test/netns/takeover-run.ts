/**
 * TCP both ways through two devices that are taken over, in turn, every so often; and what must not happen meanwhile.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { until } from './host.ts';
import { Program, type TakeoverWorld } from './takeover-world.ts';
import type { Side } from './two-devices.ts';

interface IperfReport {
  readonly error?: string;
  readonly end: {
    readonly sum_received: { readonly bytes: number };
    readonly sum_received_bidir_reverse: { readonly bytes: number };
  };
}

export interface RunResult {
  readonly takeovers: number;
  /** For how long packets stood, in ms. */
  readonly stops: readonly number[];
}

/** Looks at what `wg show` tells of a side's only peer, each time later than before, never less. */
class Watcher {
  readonly #side: Side;
  readonly #peer: Side;
  #received = 0;
  #sent = 0;
  #handshake = 0;
  looks = 0;

  constructor(side: Side, peer: Side) {
    this.#side = side;
    this.#peer = peer;
  }

  look(): void {
    const [received = 0, sent = 0] = this.#side.show('transfer', this.#peer).split(' ').map(Number);
    const handshake = Number(this.#side.show('latest-handshakes', this.#peer));
    expect(received).toBeGreaterThanOrEqual(this.#received);
    expect(sent).toBeGreaterThanOrEqual(this.#sent);
    expect(handshake).toBeGreaterThanOrEqual(this.#handshake);
    this.#received = received;
    this.#sent = sent;
    this.#handshake = handshake;
    this.looks += 1;
  }

  get handshake(): number {
    return this.#handshake;
  }
}

/** Runs iperf3 for `seconds` with a take-over every `interval` seconds, the sides in turn. */
export async function runUnderTakeovers(
  world: TakeoverWorld,
  seconds: number,
  interval: number,
): Promise<RunResult> {
  const { a, b } = world;
  const server = new Program(b.host.spawn(['iperf3', '-s', '-1', '-B', b.overlay]));
  await until('iperf3', () => b.host.exec('ss', '-Hltn', 'sport', '5201').trim() !== '');
  const watchers = [new Watcher(a, b), new Watcher(b, a)];
  for (const watcher of watchers) watcher.look();
  const handshakes = watchers.map(({ handshake }) => handshake);
  // What two processors can carry while a third program reads along and new ones start.
  const words = ['-c', b.overlay, '-t', String(seconds), '--bidir', '-b', '40M', '-J'];
  const client = new Program(a.host.spawn(['iperf3', ...words]));
  let takeovers = 0;
  const began = performance.now();
  while (client.isRunning) {
    const due = began + (takeovers + 1) * interval * 1000;
    while (client.isRunning && performance.now() < due) {
      for (const watcher of watchers) watcher.look();
      await sleep(100);
    }
    if (!client.isRunning || performance.now() - began > seconds * 1000) break;
    await world.takeOver(takeovers % 2 === 0 ? a : b);
    takeovers += 1;
    for (const watcher of watchers) watcher.look();
  }
  expect(await client.ended, client.output).toBe(0);
  await server.ended;
  const report = JSON.parse(client.output) as IperfReport;
  expect(report.error).toBeUndefined();
  expect(report.end.sum_received.bytes).toBeGreaterThan(1e6);
  expect(report.end.sum_received_bidir_reverse.bytes).toBeGreaterThan(1e6);
  for (const watcher of watchers) watcher.look();
  // Nobody had to agree on anything anew.
  if (seconds < 100) expect(watchers.map(({ handshake }) => handshake)).toEqual(handshakes);
  const relay = await world.relayReport();
  expect(relay.repeated).toEqual([]);
  expect(relay.messages).toBeGreaterThan(1000);
  return { takeovers, stops: world.stops };
}
