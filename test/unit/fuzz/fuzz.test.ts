/**
 * The fuzzer's targets, a short round of each with a seed that stays, and the fuzzer itself: it stops at the first fault
 * and tells how to see it again.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { modelled } from '../../fuzz/model.ts';
import { FuzzRandom, mutate } from '../../fuzz/random.ts';
import { fuzz } from '../../fuzz/run.ts';
import { FuzzFault, type FuzzTarget, must } from '../../fuzz/target.ts';
import { targets } from '../../fuzz/targets.ts';

const SCALE: Readonly<Record<string, number>> = { messages: 0.1 };

describe.each(targets.map((target) => [target.name, target] as const))('hostile %s', (name, target) => {
  it('do no harm in a short round of each of three seeds', () => {
    for (const seed of [1, 2, 3]) expect(target.round(seed, SCALE[name] ?? 0.3)).toBeGreaterThan(100);
  });
});

/** Cannot stand a 7 as its first byte. */
const fragile: FuzzTarget = {
  name: 'fragile',
  round(seed, scale) {
    const random = new FuzzRandom(seed);
    for (let i = 0; i < 100 * scale; i += 1) {
      const input = mutate(random, Uint8Array.of(1, 2, 3), 2);
      if (input[0] === 7) throw new FuzzFault('fragile', seed, input, new Error('a seven'));
    }
    return 100 * scale;
  },
};

function faultOf(run: () => unknown): FuzzFault {
  try {
    run();
  } catch (error) {
    if (error instanceof FuzzFault) return error;
    throw error;
  }
  throw new Error('no fault');
}

describe('the fuzzer', () => {
  it('stops at the first fault, whose seed shows it again in the first round', () => {
    const first = faultOf(() => fuzz([fragile], 100, { seconds: 30 }));
    expect(first.input.slice(0, 2)).toBe('07');
    expect(first.message).toContain(`--target fragile --seed ${first.seed}`);
    const again = faultOf(() => fuzz([fragile], first.seed, { seconds: 30 }));
    expect([again.seed, again.input]).toEqual([first.seed, first.input]);
  });

  it('shows the smallest input of a model that makes the fault', () => {
    const target = modelled({
      name: 'large numbers',
      inputs: fc.nat(1_000_000),
      perRound: 200,
      show: String,
      check: (value) => must(value < 1000, 'large'),
    });
    expect(faultOf(() => target.round(1, 1)).input).toBe('1000');
  });

  it('gives the targets turns, counts inputs, and ends when each has had as many as asked for', () => {
    const rounds: string[] = [];
    const counting = (name: string, size: number): FuzzTarget => ({
      name,
      round(seed) {
        rounds.push(`${name} ${seed}`);
        return size;
      },
    });
    const counts = fuzz([counting('a', 10), counting('b', 25)], 5, { seconds: 30, executions: 30 });
    expect(counts.map(({ target, executions }) => [target, executions])).toEqual([
      ['a', 30],
      ['b', 50],
    ]);
    expect(rounds).toEqual(['a 5', 'b 5', 'a 6', 'b 6', 'a 7']);
  });

  it('draws the same numbers for a seed and others for its neighbour', () => {
    const draw = (seed: number) => Array.from(new FuzzRandom(seed).bytes(16));
    expect(draw(9)).toEqual(draw(9));
    expect(draw(9)).not.toEqual(draw(10));
  });
});
