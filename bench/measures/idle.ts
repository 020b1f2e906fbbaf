/**
 * How often a program wakes up that has a session and nothing to do.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { switches } from '../daemon.ts';
import type { SubjectMeasure } from '../measure.ts';
import { openTunnel } from '../tunnel.ts';

/** The keepalive that answers the last ping is over by then, and what V8 puts off after a start. */
const SETTLE = 40_000;
const WATCH = 60_000;

export const idle: SubjectMeasure = {
  id: 'idle',
  name: 'wake-ups of all threads in 60 s with an idle peer',
  unit: '',
  moreIsBetter: false,
  rounds: 1,
  limit: 150,
  judged: 'value',
  floor: 0,
  aim: 0,
  together: true,
  async runAlone(subject, _, ground) {
    const tunnel = await openTunnel(subject, {}, ground);
    try {
      await sleep(SETTLE);
      const before = switches(tunnel.pids[0]);
      await sleep(WATCH);
      return switches(tunnel.pids[0]) - before;
    } finally {
      await tunnel.close();
    }
  },
};
