/**
 * The lazy heap of deadlines against a plain list of numbers.
 * @module
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Deadlines } from '../../../src/noise/deadlines.ts';

const TIMERS = 12;

describe('deadlines', () => {
  test('nothing is due when nothing is armed', () => {
    const deadlines = new Deadlines();
    deadlines.ensure(4);
    expect(deadlines.next()).toBe(Number.POSITIVE_INFINITY);
    expect(deadlines.take(1e12)).toBe(-1);
    deadlines.arm(2, 100);
    deadlines.disarm(2);
    expect(deadlines.next()).toBe(Number.POSITIVE_INFINITY);
  });

  test('a deadline that moved later is not announced at its old time', () => {
    const deadlines = new Deadlines();
    deadlines.ensure(4);
    deadlines.arm(0, 100);
    deadlines.arm(1, 150);
    deadlines.arm(0, 200);
    expect(deadlines.next()).toBe(150);
    expect(deadlines.take(199)).toBe(1);
    expect(deadlines.take(199)).toBe(-1);
    expect(deadlines.take(200)).toBe(0);
  });

  test('a deadline that moved earlier is announced at its new time', () => {
    const deadlines = new Deadlines();
    deadlines.ensure(4);
    deadlines.arm(0, 100);
    deadlines.arm(1, 150);
    deadlines.arm(1, 50);
    expect(deadlines.next()).toBe(50);
    expect(deadlines.isArmed(1)).toBe(true);
    expect(deadlines.take(50)).toBe(1);
    expect(deadlines.isArmed(1)).toBe(false);
  });

  test('agrees with a list, whatever is armed, moved, dropped and taken', () => {
    const step = fc.tuple(
      fc.constantFrom('arm', 'arm', 'arm', 'disarm', 'take'),
      fc.nat({ max: TIMERS - 1 }),
      fc.nat({ max: 50 }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const deadlines = new Deadlines();
        const list: number[] = new Array(TIMERS).fill(Number.POSITIVE_INFINITY);
        deadlines.ensure(TIMERS);
        for (const [verb, timer, at] of steps) {
          if (verb === 'arm') {
            deadlines.arm(timer, at);
            list[timer] = at;
          } else if (verb === 'disarm') {
            deadlines.disarm(timer);
            list[timer] = Number.POSITIVE_INFINITY;
          } else {
            const earliest = Math.min(...list);
            const taken = deadlines.take(at);
            if (earliest > at) expect(taken).toBe(-1);
            else {
              expect(list[taken]).toBe(earliest);
              list[taken] = Number.POSITIVE_INFINITY;
            }
          }
          expect(deadlines.next()).toBe(Math.min(...list));
        }
      }),
      { numRuns: 300 },
    );
  });
});
