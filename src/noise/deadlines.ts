/**
 * Many deadlines, one question: when is the next one due? A binary heap that is lazy about deadlines that move later.
 *
 * On the packet path timers are pushed back all the time and seldom expire. So a deadline is a number in an array;
 * moving it later, or dropping it, only writes that number. The heap keeps the key an entry was filed under, which is
 * never later than the deadline, and files an entry anew when it comes to the top too early. Moving a deadline earlier
 * sifts it up at once. The answer is therefore exact and an idle device has nothing to wake up for.
 * Source: the bargain of the kernel's timer wheel: re-armed cheaply, looked at late.
 * @module
 */
import { growFloat64, growInt32, grownCapacity } from './growable.ts';

const UNARMED = Number.POSITIVE_INFINITY;
const OUT = -1;

export class Deadlines {
  /** By timer: when it is due, UNARMED when it is not armed. */
  #due = new Float64Array(0);
  /** By timer: what it is filed under, at most #due. */
  #key = new Float64Array(0);
  /** By timer: its place in the heap. */
  #place = new Int32Array(0);
  #heap = new Int32Array(0);
  #size = 0;

  /** Makes room for timers 0 … count - 1. */
  ensure(count: number): void {
    if (count <= this.#due.length) return;
    const capacity = grownCapacity(this.#due.length, count);
    this.#due = growFloat64(this.#due, capacity, UNARMED);
    this.#key = growFloat64(this.#key, capacity, 0);
    this.#place = growInt32(this.#place, capacity, OUT);
    this.#heap = growInt32(this.#heap, capacity, 0);
  }

  isArmed(timer: number): boolean {
    return this.#due[timer] !== UNARMED;
  }

  /** When the timer is due, Infinity when it is not armed. */
  due(timer: number): number {
    return this.#due[timer] as number;
  }

  /** Sets the timer, or moves it. */
  arm(timer: number, at: number): void {
    this.#due[timer] = at;
    const place = this.#place[timer] as number;
    if (place === OUT) {
      this.#key[timer] = at;
      this.#place[timer] = this.#size;
      this.#heap[this.#size] = timer;
      this.#size += 1;
      this.#siftUp(this.#size - 1);
    } else if (at < (this.#key[timer] as number)) {
      this.#key[timer] = at;
      this.#siftUp(place);
    }
  }

  disarm(timer: number): void {
    this.#due[timer] = UNARMED;
  }

  /** The earliest deadline, Infinity when nothing is armed. */
  next(): number {
    this.#settle();
    return this.#size === 0 ? UNARMED : (this.#key[this.#heap[0] as number] as number);
  }

  /** Takes and disarms the earliest timer that is due by now; -1 when none is. */
  take(now: number): number {
    this.#settle();
    if (this.#size === 0) return -1;
    const timer = this.#heap[0] as number;
    if ((this.#key[timer] as number) > now) return -1;
    this.#due[timer] = UNARMED;
    this.#removeTop();
    return timer;
  }

  /** Until the top entry's key is its true deadline: drops what was disarmed, files anew what moved later. */
  #settle(): void {
    while (this.#size > 0) {
      const timer = this.#heap[0] as number;
      const due = this.#due[timer] as number;
      if (due === this.#key[timer]) return;
      if (due === UNARMED) this.#removeTop();
      else {
        this.#key[timer] = due;
        this.#siftDown();
      }
    }
  }

  #removeTop(): void {
    this.#place[this.#heap[0] as number] = OUT;
    this.#size -= 1;
    if (this.#size === 0) return;
    const last = this.#heap[this.#size] as number;
    this.#heap[0] = last;
    this.#place[last] = 0;
    this.#siftDown();
  }

  #siftUp(start: number): void {
    const timer = this.#heap[start] as number;
    const key = this.#key[timer] as number;
    let place = start;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      const other = this.#heap[parent] as number;
      if ((this.#key[other] as number) <= key) break;
      this.#heap[place] = other;
      this.#place[other] = place;
      place = parent;
    }
    this.#heap[place] = timer;
    this.#place[timer] = place;
  }

  #siftDown(): void {
    const timer = this.#heap[0] as number;
    const key = this.#key[timer] as number;
    let place = 0;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= this.#size) break;
      let other = this.#heap[child] as number;
      if (child + 1 < this.#size) {
        const right = this.#heap[child + 1] as number;
        if ((this.#key[right] as number) < (this.#key[other] as number)) {
          child += 1;
          other = right;
        }
      }
      if ((this.#key[other] as number) >= key) break;
      this.#heap[place] = other;
      this.#place[other] = place;
      place = child;
    }
    this.#heap[place] = timer;
    this.#place[timer] = place;
  }
}
