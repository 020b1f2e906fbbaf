/**
 * How often a program wakes up that has a session and nothing to do.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { switches } from '../daemon.ts';
import type { SubjectMeasure } from '../measure.ts';
import { openTunnel } from '../tunnel.ts';

/** The keepalive that answers the last ping, and the handshake it might want, are over by then. */
const SETTLE = 25_000;
const WATCH = 60_000;

export const idle: SubjectMeasure = {
  id: 'idle',
  name: 'wake-ups in 60 s with an idle peer',
  unit: '',
  moreIsBetter: false,
  once: true,
  async runAlone(subject) {
    const tunnel = await openTunnel(subject);
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
