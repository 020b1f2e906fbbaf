/**
 * Listens for those that can only be found by having been heard: nodes behind NAT, and Peers that roam. A device says nothing of
 * a handshake by itself, so it is asked, soon and then ever more rarely, for as long as somebody is missing.
 * Source: Kilo's discovered endpoints, which it looks for at its resync, every 30 s.
 * @module
 */

import { type Cancel, type Clock, systemClock } from './clock.ts';

const FIRST_MS = 250;
const LONGEST_MS = 30_000;
const GROWTH = 1.5;

export interface ListeningOptions {
  /** Whether there is something to say that was not said. */
  readonly look: () => Promise<boolean>;
  readonly onHeard: () => void;
  readonly clock?: Clock;
}

export class Listening {
  readonly #options: ListeningOptions;
  #cancel: Cancel | undefined;

  constructor(options: ListeningOptions) {
    this.#options = options;
  }

  /** After each pass: looks again from the beginning, or rests when nobody is missing. */
  after(awaits: boolean): void {
    this.rest();
    if (awaits) this.#wait(FIRST_MS);
  }

  rest(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #wait(ms: number): void {
    const { clock = systemClock, look, onHeard } = this.#options;
    const cancel = clock.after(ms, () => {
      look()
        .catch(() => false) // a device that does not answer is the next pass's matter
        .then((heard) => {
          if (this.#cancel !== cancel) return; // a pass came in between
          if (heard) onHeard();
          else this.#wait(Math.min(ms * GROWTH, LONGEST_MS));
        });
    });
    this.#cancel = cancel;
  }
}
