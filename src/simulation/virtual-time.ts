/**
 * Time that passes when it is told to: what is due happens in order, and everything that follows from it before the next.
 * @module
 */
import type { Cancel, Clock } from '../agent/clock.ts';

interface Due {
  readonly at: number;
  /** What was asked for first happens first. */
  readonly order: number;
  readonly work: () => void;
  /** Nobody waits for what it does, so there is nothing to let happen after it. */
  readonly quiet: boolean;
  cancelled: boolean;
}

/** Lets everything happen that needs no time. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export class VirtualTime {
  #now: number;
  readonly #start: number;
  /** A binary heap. */
  readonly #due: Due[] = [];
  #order = 0;

  /** Unix milliseconds. */
  constructor(start: number) {
    this.#now = start;
    this.#start = start;
  }

  get now(): number {
    return this.#now;
  }

  /** Since the start. */
  get elapsed(): number {
    return this.#now - this.#start;
  }

  at(time: number, work: () => void, quiet = false): Cancel {
    const due = { at: Math.max(time, this.#now), order: this.#order++, work, quiet, cancelled: false };
    this.#push(due);
    return () => {
      due.cancelled = true;
    };
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.at(this.#now + ms, resolve));
  }

  /** A clock that shows the time of day wrong by `skew()` milliseconds. */
  clock(skew: () => number = () => 0): Clock {
    const after = (ms: number, work: () => void): Cancel => this.at(this.#now + ms, work);
    return {
      now: () => this.#now + skew(),
      monotonic: () => this.elapsed,
      after,
      every: (ms, work) => {
        let cancel: Cancel;
        const again = (): void => {
          cancel = after(ms, () => {
            again();
            work();
          });
        };
        again();
        return () => cancel();
      },
      sleep: (ms, signal) =>
        new Promise((resolve) => {
          if (signal?.aborted) return resolve();
          const end = (): void => {
            cancel();
            signal?.removeEventListener('abort', end);
            resolve();
          };
          const cancel = after(ms, end);
          signal?.addEventListener('abort', end, { once: true });
        }),
    };
  }

  /** Lets so much time pass. */
  async pass(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settled();
    for (let next = this.#due[0]; next !== undefined && next.at <= end; next = this.#due[0]) {
      this.#pop();
      if (next.cancelled) continue;
      this.#now = next.at;
      next.work();
      if (!next.quiet) await settled();
    }
    this.#now = end;
  }

  #push(due: Due): void {
    const heap = this.#due;
    let at = heap.length;
    heap.push(due);
    while (at > 0) {
      const up = (at - 1) >> 1;
      const parent = heap[up];
      if (parent === undefined || isBefore(parent, due)) break;
      heap[at] = parent;
      at = up;
    }
    heap[at] = due;
  }

  #pop(): void {
    const heap = this.#due;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let down = 2 * at + 1;
      const left = heap[down];
      const right = heap[down + 1];
      if (left === undefined) break;
      const least = right !== undefined && isBefore(right, left) ? right : left;
      if (least === right) down++;
      if (isBefore(last, least)) break;
      heap[at] = least;
      at = down;
    }
    heap[at] = last;
  }
}

const isBefore = (a: Due, b: Due): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);
