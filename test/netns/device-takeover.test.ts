/**
 * A running interface taken over by a new process, with TCP through it: nothing is lost, no nonce is used twice.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { has, isRoot } from './host.ts';
import { runUnderTakeovers } from './takeover-run.ts';
import { TakeoverWorld } from './takeover-world.ts';

const able = isRoot && has('wg') && has('iperf3');

describe.skipIf(!able)('an interface that is taken over', () => {
  let world: TakeoverWorld;
  beforeAll(async () => {
    world = await TakeoverWorld.start('kwtos');
  });
  afterAll(async () => {
    await world?.close();
  });

  it('loses no connection, no byte counted and no nonce, four times in ten seconds', async () => {
    const { takeovers, stops } = await runUnderTakeovers(world, 10, 2);
    expect(takeovers).toBeGreaterThanOrEqual(1);
    expect(stops).toHaveLength(takeovers);
    if (process.env.KILOWIRE_SHOW) process.stdout.write(`${takeovers} take-overs, stops ${stops} ms\n`);
  });
});
