/**
 * The anti-replay window against the tables of wireguard-go's replay_test.go and against its twin.
 * @module
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { acceptCounter, REPLAY_WORDS, resetReplay } from '../../../src/noise/replay.ts';
import { ReplayTwin } from './replay.twin.ts';

const W = 8128n;
const T = W + 1n;
const R = 2n ** 64n - 2n ** 13n - 1n;
/** Somewhere in a bigger array, as in the slab. */
const AT = 12;

function window() {
  const words = new Uint32Array(AT + REPLAY_WORDS + 8).fill(0xdead_beef);
  resetReplay(words, AT);
  return {
    words,
    accept: (counter: bigint): boolean =>
      acceptCounter(words, AT, Number(counter >> 32n), Number(counter & 0xffff_ffffn)),
  };
}

/** from, from ± 1, … to. */
function* range(from: bigint, to: bigint): Generator<bigint> {
  const step = from <= to ? 1n : -1n;
  for (let i = from; i !== to + step; i += step) yield i;
}

describe('the replay window', () => {
  test('answers as the table says', () => {
    const table: readonly (readonly [bigint, boolean])[] = [
      [0n, true],
      [1n, true],
      [1n, false],
      [9n, true],
      [8n, true],
      [7n, true],
      [7n, false],
      [T, true],
      [T - 1n, true],
      [T - 1n, false],
      [T - 2n, true],
      [2n, true],
      [2n, false],
      [T + 16n, true],
      [3n, false],
      [T + 16n, false],
      [4n * T, true],
      [4n * T - (T - 1n), true],
      [10n, false],
      [4n * T - T, false],
      [4n * T - (T + 1n), false],
      [4n * T - (T - 2n), true],
      [4n * T + 1n - T, false],
      [0n, false],
      [R, false],
      [R - 1n, true],
      [R, false],
      [R - 1n, false],
      [R - 2n, true],
      [R + 1n, false],
      [R + 2n, false],
      [R - 2n, false],
      [R - 3n, true],
      [0n, false],
    ];
    const { accept } = window();
    for (const [row, [counter, expected]] of table.entries()) {
      expect(accept(counter), `row ${row}: ${counter}`).toBe(expected);
    }
  });

  const bulk: readonly (readonly [string, readonly (readonly [bigint, bigint, boolean])[]])[] = [
    [
      'all in order, then the one before',
      [
        [1n, W, true],
        [0n, 0n, true],
        [0n, 0n, false],
      ],
    ],
    [
      'all in order one later',
      [
        [2n, W + 1n, true],
        [1n, 1n, true],
        [0n, 0n, false],
      ],
    ],
    ['all in reverse', [[W + 1n, 1n, true]]],
    [
      'all in reverse one later',
      [
        [W + 2n, 2n, true],
        [0n, 0n, false],
      ],
    ],
    [
      'reverse, then the next, then the oldest',
      [
        [W, 1n, true],
        [W + 1n, W + 1n, true],
        [0n, 0n, false],
      ],
    ],
    [
      'reverse, then the oldest, then the next',
      [
        [W, 1n, true],
        [0n, 0n, true],
        [W + 1n, W + 1n, true],
      ],
    ],
  ];
  test.each(bulk)('takes a window full: %s', (_name, steps) => {
    const { accept } = window();
    for (const [from, to, expected] of steps) {
      let same = true;
      for (const counter of range(from, to)) same &&= accept(counter) === expected;
      expect(same, `${from} to ${to}`).toBe(true);
    }
  });

  test.each([2n ** 32n, 7n * 2n ** 32n, 2n ** 53n])(
    'takes every counter once on its way across %i',
    (middle) => {
      const { accept } = window();
      let same = true;
      for (const counter of range(middle - 2n * T, middle + 2n * T)) same &&= accept(counter);
      for (const counter of range(middle + T, middle + 2n * T)) same &&= !accept(counter);
      expect(same).toBe(true);
    },
  );

  test('touches nothing but its own words', () => {
    const { words, accept } = window();
    for (let counter = 0n; counter < 3n * T; counter += 7n) accept(counter);
    accept(R - 1n);
    expect(new Set(words.subarray(0, AT))).toEqual(new Set([0xdead_beef]));
    expect(new Set(words.subarray(AT + REPLAY_WORDS))).toEqual(new Set([0xdead_beef]));
  });

  test('agrees with its twin wherever counters go', () => {
    const start = fc.constantFrom(0n, 8000n, 2n ** 32n - 5000n, 3n * 2n ** 32n - 1n, 2n ** 53n, R - 20_000n);
    const step = fc.oneof(
      { weight: 8, arbitrary: fc.bigInt({ min: -40n, max: 80n }) },
      { weight: 2, arbitrary: fc.bigInt({ min: -9000n, max: 9000n }) },
      { weight: 1, arbitrary: fc.bigInt({ min: 0n, max: 2n ** 33n }) },
    );
    fc.assert(
      fc.property(start, fc.array(step, { minLength: 1, maxLength: 300 }), (from, steps) => {
        const { accept } = window();
        const twin = new ReplayTwin();
        let counter = from;
        for (const delta of steps) {
          const next = counter + delta;
          if (next < 0n || next >= 2n ** 64n) continue;
          expect(accept(next)).toBe(twin.accept(next));
          if (delta > 0n) counter = next;
        }
      }),
      { numRuns: 300 },
    );
  });
});
