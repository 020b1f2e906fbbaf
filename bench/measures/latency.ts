/**
 * How long a ping takes: alone, and beside a TCP stream.
 * @module
 */
import { tcp } from '../iperf.ts';
import type { TunnelMeasure } from '../measure.ts';
import { type Ground, inNamespaceAsync } from '../namespaces.ts';
import { median, percentile } from '../statistics.ts';

/** Round trips in µs. */
async function roundTrips({ a, b }: Ground, args: readonly string[]): Promise<number[]> {
  const output = await inNamespaceAsync(a.namespace, ['ping', ...args, b.overlay], 60_000);
  return [...output.matchAll(/time=([\d.]+) ms/g)].map((match) => Number(match[1]) * 1000);
}

/** The next one leaves when the last has come back; `-i 0` is a flood that prints each. */
export const ping: TunnelMeasure = {
  id: 'ping',
  name: 'ping flood, median round-trip time',
  unit: 'µs',
  moreIsBetter: false,
  floor: 1,
  aim: 0.7,
  tunnel: {},
  run: async ({ ground }) => median(await roundTrips(ground, ['-i', '0', '-c', '3000'])),
};

export const loaded: TunnelMeasure = {
  id: 'loaded',
  name: 'ping beside a TCP stream, 99th percentile',
  unit: 'µs',
  moreIsBetter: false,
  floor: 1,
  aim: 0.5,
  tunnel: {},
  async run({ ground }, { seconds }) {
    const count = String(Math.round((seconds - 0.5) * 200));
    const [, times] = await Promise.all([
      tcp(ground, 1, seconds + 0.5),
      roundTrips(ground, ['-i', '0.005', '-c', count, '-w', String(seconds + 1)]),
    ]);
    return percentile(times, 0.99);
  },
};
