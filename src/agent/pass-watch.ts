/**
 * Whether an agent still gets through its passes: what /health answers, and a liveness probe acts on. An API that is away is no
 * reason to be started anew; a pass that does not end is.
 * @module
 */
import type { Clock } from './clock.ts';

/** Every step of a pass has a patience of its own; all of them together are far from this. */
const LONGEST_SECONDS = 120;

export class PassWatch {
  readonly #clock: Pick<Clock, 'monotonic'>;
  #began: number | null = null;

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  /** Answers what the work does. */
  async during<Result>(work: () => Promise<Result>): Promise<Result> {
    this.#began = this.#clock.monotonic();
    try {
      return await work();
    } finally {
      this.#began = null;
    }
  }

  /** Null: it is well. */
  whyUnwell(): string | null {
    if (this.#began === null) return null;
    const seconds = Math.round((this.#clock.monotonic() - this.#began) / 1000);
    return seconds < LONGEST_SECONDS ? null : `The pass that began ${seconds} s ago has not ended.`;
  }
}
