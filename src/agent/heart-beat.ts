/**
 * Says what the own Node shall say: every 30 s, at once when there is something new, and soon again when nobody heard.
 * Source: Kilo's check-in (30 s, fixed: others count a node as gone after 60 s).
 * @module
 */
import { type Clock, systemClock } from './clock.ts';
import { BackOff } from './kubernetes/back-off.ts';

export const HEARTBEAT_MS = 30_000;
/** Endpoints may be discovered one by one; the API shall not hear each. */
const LEAST_PAUSE_MS = 200;
/** The longest a timer can wait. */
const NEVER_MS = 2 ** 31 - 1;

export interface HeartBeatOptions {
  /** Writes it. */
  readonly say: (signal: AbortSignal) => Promise<void>;
  readonly onError: (error: unknown) => void;
  readonly random?: () => number;
  readonly clock?: Clock;
  /** False: only when there is something new (--check-in=false). Default true. */
  readonly regularly?: boolean;
}

export class HeartBeat {
  readonly #options: HeartBeatOptions;
  #hurry = Promise.withResolvers<void>();

  constructor(options: HeartBeatOptions) {
    this.#options = options;
  }

  /** There is something to say. */
  now(): void {
    this.#hurry.resolve();
  }

  /** Runs until the signal; says nothing before it was asked to once. */
  async run(signal: AbortSignal): Promise<void> {
    const { say, onError, random, regularly = true, clock = systemClock } = this.#options;
    const backOff = new BackOff({ firstMs: 500, longestMs: 10_000, ...(random && { random }) });
    signal.addEventListener('abort', () => this.now(), { once: true });
    if (signal.aborted) return;
    await this.#hurry.promise;
    while (!signal.aborted) {
      this.#hurry = Promise.withResolvers();
      let pause = regularly ? HEARTBEAT_MS : NEVER_MS;
      try {
        await say(signal);
        backOff.reset();
        await clock.sleep(LEAST_PAUSE_MS);
      } catch (error) {
        if (signal.aborted) return;
        onError(error);
        pause = backOff.next();
        // What is urgent does not help an API that is away.
        this.#hurry = Promise.withResolvers();
      }
      if (signal.aborted) return;
      const end = new AbortController();
      await Promise.race([clock.sleep(pause, end.signal), this.#hurry.promise]);
      end.abort();
    }
  }
}
