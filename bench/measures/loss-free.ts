/**
 * The highest rate that is carried with less than 1 % loss.
 * Source: RFC 2544 §26.1 (throughput by search; we allow a hundredth where it allows none), with short trials.
 * @module
 */
import { udp } from '../iperf.ts';
import type { TunnelMeasure } from '../measure.ts';
import type { Ground } from '../namespaces.ts';

const TOLERATED = 0.01;
const TRIALS = 6;

async function search(ground: Ground, payload: number, seconds: number): Promise<number> {
  // What arrives in a flood is close to the answer from above or below; the sender's own limit is above it.
  const flood = await udp(ground, payload, 0, seconds);
  if (flood.lost < TOLERATED) return flood.received;
  let good = 0;
  let bad = flood.sent;
  let rate = flood.received;
  for (let trial = 0; trial < TRIALS; trial += 1) {
    const { lost, sent } = await udp(ground, payload, rate, seconds);
    if (lost < TOLERATED) {
      good = Math.max(good, Math.min(rate, sent));
      // The sender cannot offer more.
      if (sent < 0.97 * rate) break;
    } else bad = Math.min(bad, rate);
    // Down in big steps until something holds.
    rate = good === 0 ? bad * 0.7 : Math.sqrt(good * bad);
  }
  return good;
}

const lossFree = (payload: number): TunnelMeasure => ({
  id: `udp${payload}`,
  name: `UDP ${payload} B, highest rate with < 1 % loss`,
  unit: 'Mbit/s',
  moreIsBetter: true,
  floor: 1.3,
  aim: 2.5,
  tunnel: {},
  rounds: 3,
  run: ({ ground }, { seconds }) => search(ground, payload, Math.min(seconds, 2)),
});

export const udp1300: TunnelMeasure = lossFree(1300);
export const udp64: TunnelMeasure = lossFree(64);
