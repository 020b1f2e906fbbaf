/**
 * How long to wait before the next attempt: doubling, with jitter, so that a thousand agents that lost their API together
 * do not come back together.
 * Source: "Exponential Backoff And Jitter" (full jitter above a floor of half the step).
 * @module
 */

export interface BackOffOptions {
  readonly firstMs?: number;
  readonly longestMs?: number;
  /** 0 ≤ value < 1. */
  readonly random?: () => number;
}

export class BackOff {
  readonly #first: number;
  readonly #longest: number;
  readonly #random: () => number;
  #step = 0;

  constructor({ firstMs = 200, longestMs = 15_000, random = Math.random }: BackOffOptions = {}) {
    this.#first = firstMs;
    this.#longest = longestMs;
    this.#random = random;
  }

  /** Milliseconds; the API's own wish (Retry-After) is a lower bound. */
  next(atLeastMs = 0): number {
    const whole = Math.min(this.#longest, this.#first * 2 ** this.#step);
    if (whole < this.#longest) this.#step++;
    return Math.max(atLeastMs, whole / 2 + (this.#random() * whole) / 2);
  }

  /** It went well. */
  reset(): void {
    this.#step = 0;
  }
}
