/**
 * The take-over for a minute, every two seconds; and new processes killed at a hundred moments.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { has, isRoot } from './host.ts';
import { runUnderTakeovers } from './takeover-run.ts';
import { TakeoverWorld } from './takeover-world.ts';

const able = isRoot && has('wg') && has('iperf3');

describe.skipIf(!able)('an interface that is taken over for a minute', () => {
  let world: TakeoverWorld;
  beforeAll(async () => {
    world = await TakeoverWorld.start('kwtol');
  });
  afterAll(async () => {
    await world?.close();
  });

  it('loses no connection, no byte counted and no nonce, every two seconds', async () => {
    const { takeovers, stops } = await runUnderTakeovers(world, 60, 2);
    expect(takeovers).toBeGreaterThanOrEqual(10);
    expect(stops).toHaveLength(takeovers);
    const sorted = stops.toSorted((a, b) => a - b);
    const [median, longest] = [sorted[sorted.length >> 1], sorted.at(-1)];
    process.stdout.write(`${takeovers} take-overs; packets stood for ${median} ms, at most ${longest} ms\n`);
  });
});
