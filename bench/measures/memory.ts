/**
 * What a program holds in memory: with nothing to do, per peer it knows, and what a load adds.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Subject, startDaemon, usage, wg } from '../daemon.ts';
import { tcp, udp } from '../iperf.ts';
import type { SubjectMeasure } from '../measure.ts';
import { ip, sideA } from '../namespaces.ts';
import { openTunnel } from '../tunnel.ts';
import { configurationOf } from './configuration.ts';

const PEERS = 5000;
/** Time for start-up garbage to go. */
const SETTLE = 2000;

async function idleRss(subject: Subject, peers: number): Promise<number> {
  const daemon = await startDaemon(subject, sideA);
  try {
    wg(sideA, 'setconf', (file) => [file(configurationOf(peers))]);
    ip('-n', sideA.namespace, 'link', 'set', sideA.link, 'up');
    await sleep(SETTLE);
    return usage(daemon.pid).rssMiB;
  } finally {
    await daemon.stop();
  }
}

export const memory: SubjectMeasure = {
  id: 'memory',
  name: 'memory, no peers',
  unit: 'MiB',
  moreIsBetter: false,
  judged: 'value',
  floor: 90,
  aim: 60,
  rounds: 1,
  runAlone: (subject) => idleRss(subject, 0),
};

export const memoryPeer: SubjectMeasure = {
  id: 'memory-peer',
  name: 'memory per idle peer',
  unit: 'KiB',
  moreIsBetter: false,
  judged: 'value',
  floor: 8,
  aim: 4,
  rounds: 1,
  runAlone: async (subject) =>
    ((await idleRss(subject, PEERS)) - (await idleRss(subject, 0))) * (1024 / PEERS),
};

export const memoryLoad: SubjectMeasure = {
  id: 'memory-load',
  name: 'memory added by load, peak of either side',
  unit: 'MiB',
  moreIsBetter: false,
  judged: 'value',
  floor: 20,
  aim: 0,
  rounds: 1,
  async runAlone(subject, { seconds }) {
    const tunnel = await openTunnel(subject);
    try {
      await sleep(SETTLE);
      const before = tunnel.pids.map((pid) => usage(pid).rssMiB);
      await tcp(tunnel.ground, 4, seconds);
      await udp(tunnel.ground, 1300, 0, seconds);
      await udp(tunnel.ground, 64, 0, seconds);
      return Math.max(...tunnel.pids.map((pid, side) => usage(pid).peakMiB - (before[side] ?? 0)));
    } finally {
      await tunnel.close();
    }
  },
};
