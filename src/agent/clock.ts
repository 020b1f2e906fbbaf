/**
 * The time an agent lives by: the machine's own, or one that a simulation turns.
 * @module
 */
import { setTimeout as delay } from 'node:timers/promises';

/** Takes back what was asked of a clock. */
export type Cancel = () => void;

export interface Clock {
  /** Unix milliseconds. */
  readonly now: () => number;
  /** Milliseconds that never go back. */
  readonly monotonic: () => number;
  /** Resolves after so long, or at the signal. */
  readonly sleep: (ms: number, signal?: AbortSignal) => Promise<void>;
  readonly after: (ms: number, work: () => void) => Cancel;
  readonly every: (ms: number, work: () => void) => Cancel;
}

/** What happens again and again keeps the process alive; what happens once does not. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: async (ms, signal) => {
    try {
      await delay(ms, undefined, { ref: false, ...(signal === undefined ? {} : { signal }) });
    } catch (error) {
      if (signal?.aborted !== true) throw error;
    }
  },
  after: (ms, work) => {
    const timer = setTimeout(work, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
  every: (ms, work) => {
    const timer = setInterval(work, ms);
    return () => clearInterval(timer);
  },
};

export const unixSeconds = (clock: Clock): number => Math.floor(clock.now() / 1000);
