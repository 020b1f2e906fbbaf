/**
 * When the device counts as under load, and asks for cookies.
 * Source: WireGuard paper §5.3; kernel receive.c (an eighth of the handshake queue, and a second afterwards).
 * @module
 */
import { UNDER_LOAD_PERSISTENCE } from './constants.ts';

export class UnderLoad {
  readonly #threshold: number;
  #lastSeenAt = Number.NEGATIVE_INFINITY;

  /** `queueCapacity` is how many handshake messages may wait at most. */
  constructor(queueCapacity: number) {
    this.#threshold = Math.max(1, Math.floor(queueCapacity / 8));
  }

  /** Tell it how many messages wait; it answers for this moment. */
  observe(queued: number, now: number): boolean {
    if (queued >= this.#threshold) {
      this.#lastSeenAt = now;
      return true;
    }
    return now - this.#lastSeenAt < UNDER_LOAD_PERSISTENCE;
  }
}
