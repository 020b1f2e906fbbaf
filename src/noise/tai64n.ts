/**
 * TAI64N labels: the initiator's proof of freshness.
 * Source: https://cr.yp.to/libtai/tai64.html; WireGuard paper §5.4.2; whitening as in the kernel's noise.c
 * (tai64n_now) and wireguard-go tai64n/.
 * @module
 */
import { TAI64N_SIZE } from './constants.ts';

export type Tai64n = Uint8Array;

/** TAI64N label of 1970-01-01 00:00:00 UTC is 2^62 + 10: ten leap seconds had passed. */
const BASE_HIGH = 0x4000_0000;
const LEAP_SECONDS = 10;
/** Steps of 2^24 ns = 16.777216 ms, so that the peer cannot fingerprint our clock. */
const WHITENER = 0x100_0000;
const NANOSECONDS = 1_000_000_000;

function encode(seconds: number, nanoseconds: number): Tai64n {
  const label = new Uint8Array(TAI64N_SIZE);
  const view = new DataView(label.buffer);
  view.setUint32(0, BASE_HIGH + Math.floor(seconds / 0x1_0000_0000));
  view.setUint32(4, seconds >>> 0);
  view.setUint32(8, nanoseconds);
  return label;
}

/** The whitened label of a Unix time. A clock before 1970 counts as 1970. */
export function stamp(seconds: number, nanoseconds: number): Tai64n {
  if (!(seconds >= 0)) return encode(LEAP_SECONDS, 0);
  return encode(Math.floor(seconds) + LEAP_SECONDS, nanoseconds - (nanoseconds % WHITENER));
}

/** Byte order is time order. */
export function isAfter(a: Tai64n, b: Tai64n): boolean {
  for (let i = 0; i < TAI64N_SIZE; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return false;
}

/** The least whitened label after this one. */
function successor(label: Tai64n): Tai64n {
  const view = new DataView(label.buffer, label.byteOffset, TAI64N_SIZE);
  const seconds = (view.getUint32(0) - BASE_HIGH) * 0x1_0000_0000 + view.getUint32(4);
  const nanoseconds = view.getUint32(8) + WHITENER;
  return nanoseconds < NANOSECONDS ? encode(seconds, nanoseconds) : encode(seconds + 1, 0);
}

/**
 * Labels that never go back, whatever the wall clock does.
 * A peer refuses a label that is not greater than the last it took from us, so to one peer labels always rise; between
 * peers equal labels are fine, and a thousand initiations in one instant do not push the label ahead of the clock.
 */
export class Tai64nClock {
  #last: Tai64n = new Uint8Array(TAI64N_SIZE);

  /** The latest label given to anybody. */
  get last(): Tai64n {
    return this.#last;
  }

  set last(label: Tai64n) {
    this.#last = Uint8Array.from(label);
  }

  /** From now on labels come after this one, to whomever. */
  startAfter(label: Tai64n): void {
    const next = successor(label);
    if (isAfter(next, this.#last)) this.#last = next;
  }

  /** `previous` is the last label given to the same peer. */
  next(wallMilliseconds: number, previous: Tai64n | undefined): Tai64n {
    const seconds = Math.floor(wallMilliseconds / 1000);
    const wall = stamp(seconds, Math.floor((wallMilliseconds - seconds * 1000) * 1e6));
    let label = isAfter(this.#last, wall) ? this.#last : wall;
    if (previous !== undefined && !isAfter(label, previous)) label = successor(previous);
    this.#last = label;
    return Uint8Array.from(label);
  }
}
