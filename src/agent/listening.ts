/**
 * Listens for those that can only be found by having been heard: nodes behind NAT, and Peers that roam. A device says nothing of
 * a handshake by itself, so it is asked, soon and then ever more rarely, for as long as somebody is missing.
 * Source: Kilo's discovered endpoints, which it looks for at its resync, every 30 s.
 * @module
 */

const FIRST_MS = 250;
const LONGEST_MS = 30_000;
const GROWTH = 1.5;

export interface ListeningOptions {
  /** Whether there is something to say that was not said. */
  readonly look: () => Promise<boolean>;
  readonly onHeard: () => void;
}

export class Listening {
  readonly #options: ListeningOptions;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ListeningOptions) {
    this.#options = options;
  }

  /** After each pass: looks again from the beginning, or rests when nobody is missing. */
  after(awaits: boolean): void {
    this.rest();
    if (awaits) this.#wait(FIRST_MS);
  }

  rest(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #wait(ms: number): void {
    const timer = setTimeout(() => {
      this.#options
        .look()
        .catch(() => false) // a device that does not answer is the next pass's matter
        .then((heard) => {
          if (this.#timer !== timer) return; // a pass came in between
          if (heard) this.#options.onHeard();
          else this.#wait(Math.min(ms * GROWTH, LONGEST_MS));
        });
    }, ms);
    timer.unref();
    this.#timer = timer;
  }
}
