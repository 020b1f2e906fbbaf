/**
 * The take-over for a minute, every two seconds; as many times as KILOWIRE_TAKEOVER_RUNS says. Several of these programs
 * may run side by side.
 */
import { describe, expect, it } from 'vitest';
import { has, isRoot } from './host.ts';
import { runUnderTakeovers } from './takeover-run.ts';
import { TakeoverWorld } from './takeover-world.ts';

const able = isRoot && has('wg') && has('iperf3');
const runs = Number(process.env.KILOWIRE_TAKEOVER_RUNS ?? 1);
const numbers = Array.from({ length: runs }, (_, index) => index + 1);

describe.skipIf(!able)('an interface that is taken over for a minute', () => {
  it.each(numbers)(
    'loses no connection, no byte counted and no nonce, every two seconds: run %i',
    async (run) => {
      const world = await TakeoverWorld.start(`kwto${process.pid % 10_000}`);
      try {
        const { takeovers, stops } = await runUnderTakeovers(world, 60, 2);
        expect(takeovers).toBeGreaterThanOrEqual(10);
        expect(stops).toHaveLength(takeovers);
        const sorted = stops.toSorted((a, b) => a - b);
        const [median, longest] = [sorted[sorted.length >> 1], sorted.at(-1)];
        process.stdout.write(
          `run ${run}: ${takeovers} take-overs; packets stood for ${median} ms, at most ${longest} ms\n`,
        );
      } finally {
        await world.close();
      }
    },
  );
});
