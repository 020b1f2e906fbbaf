/**
 * Milliseconds since boot, suspend included, the same on every thread: keys must expire while a laptop sleeps.
 * Source: clock_gettime(2), CLOCK_BOOTTIME.
 * @module
 */
import koffi from 'koffi';

const CLOCK_BOOTTIME = 7;
const clockGettime = koffi.load('libc.so.6').func('int clock_gettime(int clock, uintptr_t time)') as (
  clock: number,
  address: number,
) => number;

export class BootClock {
  readonly #time = new Uint32Array(4);
  readonly #address = Number(koffi.address(this.#time));

  /** Milliseconds, with fractions. About 200 ns a call; allocates nothing. */
  now(): number {
    clockGettime(CLOCK_BOOTTIME, this.#address);
    const time = this.#time;
    const seconds = (time[1] as number) * 0x1_0000_0000 + (time[0] as number);
    return seconds * 1000 + (time[2] as number) / 1e6;
  }
}
