/**
 * How much goes through: TCP streams, UDP floods, and the CPU time it takes.
 * @module
 */
import { spawn } from 'node:child_process';
import { usage } from '../daemon.ts';
import { iperf, tcp, udp } from '../iperf.ts';
import type { TunnelMeasure } from '../measure.ts';

const common = { moreIsBetter: true, tunnel: {} } as const;
const gigabits = { ...common, unit: 'Gbit/s', floor: 1.15, aim: 2 } as const;

export const tcp1: TunnelMeasure = {
  ...gigabits,
  id: 'tcp1',
  name: 'TCP 1 stream',
  run: ({ ground }, { seconds }) => tcp(ground, 1, seconds),
};

export const tcp4: TunnelMeasure = {
  ...gigabits,
  id: 'tcp4',
  name: 'TCP 4 streams',
  run: ({ ground }, { seconds }) => tcp(ground, 4, seconds),
};

export const tcp6: TunnelMeasure = {
  ...gigabits,
  id: 'tcp6',
  name: 'TCP 1 stream, IPv6 inside and outside',
  tunnel: { family: 6 },
  run: ({ ground }, { seconds }) => tcp(ground, 1, seconds, 6),
};

/** The neighbour spins on the first core and is gone with this process at the latest. */
export const neighbour: TunnelMeasure = {
  ...gigabits,
  id: 'neighbour',
  name: 'TCP 1 stream, one core taken',
  floor: 1,
  aim: 1.5,
  async run({ ground }, { seconds }) {
    const limit = String(seconds + 30);
    const burner = spawn('timeout', [limit, 'taskset', '-c', '0', 'sh', '-c', 'while :; do :; done'], {
      stdio: 'ignore',
    });
    try {
      return await tcp(ground, 1, seconds);
    } finally {
      burner.kill('SIGTERM');
    }
  },
};

/** A path of 1400 bytes under an interface of 1420: full packets have to leave in fragments. */
export const narrow: TunnelMeasure = {
  ...common,
  unit: 'Gbit/s',
  id: 'narrow',
  name: 'TCP 1 stream, path MTU 1400 under 1420',
  judged: 'value',
  floor: 0.5,
  tunnel: { pathMtu: 1400 },
  run: ({ ground }, { seconds }) => tcp(ground, 1, seconds),
};

/** What @noble is for is to be compared with. */
export const noble: TunnelMeasure = {
  ...common,
  id: 'noble',
  name: 'TCP 1 stream, ours with KILOWIRE_CRYPTO=noble',
  unit: 'Gbit/s',
  tunnel: { onNoble: true },
  rounds: 3,
  run: ({ ground }, { seconds }) => tcp(ground, 1, seconds),
};

const flood = (payload: number): TunnelMeasure => ({
  ...common,
  id: `flood${payload}`,
  name: `UDP ${payload} B received, sender unthrottled`,
  unit: 'Mbit/s',
  floor: 1,
  aim: 2,
  run: async ({ ground }, { seconds }) => (await udp(ground, payload, 0, seconds)).received,
});

export const flood1300: TunnelMeasure = flood(1300);
export const flood64: TunnelMeasure = flood(64);

/** User and system time of both programs while a fixed amount goes through. */
export const cpu: TunnelMeasure = {
  ...common,
  id: 'cpu',
  name: 'CPU time per GB over TCP, both programs',
  unit: 's',
  moreIsBetter: false,
  floor: 0.8,
  aim: 0.5,
  async run({ ground, pids }, { seconds }) {
    const bytes = seconds * 200e6;
    const total = (): number => pids.reduce((sum, pid) => sum + usage(pid).cpuSeconds, 0);
    const before = total();
    await iperf(ground, ['-c', ground.b.overlay, '-n', String(bytes)], 60);
    return ((total() - before) / bytes) * 1e9;
  },
};
