/**
 * TAI64N labels.
 * Source: cr.yp.to/libtai/tai64.html; wireguard-go tai64n/tai64n_test.go for the whitening.
 * @module
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isAfter, stamp, Tai64nClock } from '../../../src/noise/tai64n.ts';
import { hex } from './fixtures.ts';

describe('a TAI64N label', () => {
  it('counts from 2^62 + 10 seconds, big-endian', () => {
    expect(hex(stamp(0, 0))).toBe('400000000000000a00000000');
    expect(hex(stamp(0xffff_fff6, 0x0200_0000))).toBe('400000010000000002000000');
  });

  it('drops the low 24 bits of the nanoseconds', () => {
    expect(hex(stamp(1, 999_999_999))).toBe('400000000000000b3b000000');
  });

  it.each([
    ['10 ns', 10, false],
    ['10 µs', 10_000, false],
    ['1 ms', 1_000_000, false],
    ['10 ms', 10_000_000, false],
    ['20 ms', 20_000_000, true],
  ])('%s later is after: %#', (_, nanoseconds, after) => {
    expect(isAfter(stamp(1_000, 123_456_789 + nanoseconds), stamp(1_000, 123_456_789))).toBe(after);
  });

  it('is not after itself, and order is time order', () => {
    const moment = fc.record({ s: fc.integer({ min: 0, max: 2 ** 40 }), n: fc.integer({ min: 0, max: 59 }) });
    fc.assert(
      fc.property(moment, moment, (a, b) => {
        const later = a.s > b.s || (a.s === b.s && a.n > b.n);
        expect(isAfter(stamp(a.s, a.n * 2 ** 24), stamp(b.s, b.n * 2 ** 24))).toBe(later);
      }),
    );
  });

  it('of a clock before 1970, or of no clock, is that of 1970', () => {
    expect(stamp(-5, 0)).toEqual(stamp(0, 0));
    expect(stamp(Number.NaN, 0)).toEqual(stamp(0, 0));
  });
});

describe('the clock of labels', () => {
  it('rises for one peer whatever the wall clock does', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: -1e6, max: 4e12, noNaN: true })), (times) => {
        const clock = new Tai64nClock();
        let previous: Uint8Array | undefined;
        for (const time of times) {
          const label = clock.next(time, previous);
          if (previous !== undefined) expect(isAfter(label, previous)).toBe(true);
          // A label is whitened even when it is made from the one before.
          expect(label.subarray(9)).toEqual(new Uint8Array(3));
          expect(new DataView(label.buffer).getUint32(8)).toBeLessThan(1e9);
          previous = label;
        }
      }),
    );
  });

  it('never gives any peer less than it gave another before', () => {
    const clock = new Tai64nClock();
    const first = clock.next(1_700_000_000_000, undefined);
    expect(clock.next(1_600_000_000_000, undefined)).toEqual(first);
  });

  it('does not run ahead when a thousand peers are greeted in one instant', () => {
    const clock = new Tai64nClock();
    for (let peer = 0; peer < 1000; peer++) clock.next(1_700_000_000_000, undefined);
    expect(clock.next(1_700_000_000_000, undefined)).toEqual(stamp(1_700_000_000, 0));
  });
});
