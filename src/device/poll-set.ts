/**
 * The descriptors the data plane sleeps on, as poll(2) wants them, in the slab.
 *
 *     | fd i32 | events i16 | revents i16 |      one after the other; fd -1: passed over
 * @module
 */
import * as libc from '../linux/libc.ts';
import type { Slab } from '../tun/slab.ts';

const SIZE = 8;

export class PollSet {
  readonly #slab: Slab;
  readonly #at: number;
  readonly #count: number;

  constructor(slab: Slab, count: number) {
    this.#slab = slab;
    this.#count = count;
    this.#at = slab.take(count * SIZE);
    for (let i = 0; i < count; i += 1) this.watch(i, -1);
  }

  /** -1: nothing any more. */
  watch(index: number, fd: number): void {
    const { words } = this.#slab;
    words[(this.#at + index * SIZE) >> 2] = fd;
    words[(this.#at + index * SIZE + 4) >> 2] = libc.POLLIN;
  }

  descriptor(index: number): number {
    return this.#slab.words[(this.#at + index * SIZE) >> 2] as number;
  }

  /** Sleeps until something is ready or `timeout` ms are over; -1: without end. */
  wait(timeout: number): void {
    libc.poll(this.#slab.address + this.#at, this.#count, timeout);
  }

  /** Sleeps until the first of them is ready. */
  waitForFirst(): void {
    libc.poll(this.#slab.address + this.#at, 1, -1);
  }

  /** What the last `wait` found on a descriptor. */
  ready(index: number): number {
    return this.#slab.view.getInt16(this.#at + index * SIZE + 6, true);
  }
}
