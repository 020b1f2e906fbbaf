/**
 * The index table against a Map.
 * @module
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { IndexTable } from '../../../src/noise/index-table.ts';
import { seededRandom } from './fixtures.ts';

describe('the index table', () => {
  test('does not find what was never stored', () => {
    const table = new IndexTable();
    for (const index of [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]) expect(table.get(index)).toBe(-1);
    expect(table.delete(5)).toBe(false);
  });

  test('holds every u32, also those that are negative as int32', () => {
    const table = new IndexTable();
    table.set(0xffff_ffff, 7);
    table.set(0, 8);
    table.set(0xffff_ffff, 9);
    expect([table.get(0xffff_ffff), table.get(0), table.size]).toEqual([9, 8, 2]);
  });

  test('stays whole over a long life at its fullest', () => {
    const bytes = seededRandom(7);
    const draw = (): number => new DataView(bytes(4).buffer).getUint32(0);
    const table = new IndexTable();
    const map = new Map<number, number>();
    for (let round = 0; round < 3000; round += 1) {
      const index = draw();
      table.set(index, round);
      map.set(index, round);
      if (map.size > 30) {
        const [victim] = [...map.keys()].slice(draw() % 30);
        map.delete(victim as number);
        table.delete(victim as number);
      }
      for (const [key, value] of map)
        if (table.get(key) !== value) expect.fail(`lost ${key} in round ${round}`);
    }
    expect(table.size).toBe(map.size);
  });

  test('agrees with a Map, whatever is stored, replaced and deleted', () => {
    // Few and neighbouring keys make long runs, which is what deletion has to keep whole.
    const key = fc.oneof(
      fc.integer({ min: 0, max: 60 }),
      fc.integer({ min: 0, max: 0xffff_ffff }),
      fc.integer({ min: 0, max: 40 }).map((n) => (n * 0x0400_0000) >>> 0),
    );
    const step = fc.tuple(fc.constantFrom('set', 'set', 'delete'), key, fc.nat());
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
        const table = new IndexTable();
        const map = new Map<number, number>();
        for (const [verb, index, value] of steps) {
          if (verb === 'set') {
            table.set(index, value);
            map.set(index, value);
          } else expect(table.delete(index)).toBe(map.delete(index));
          expect(table.size).toBe(map.size);
        }
        for (const [, index] of steps) expect(table.get(index)).toBe(map.get(index) ?? -1);
      }),
      { numRuns: 300 },
    );
  });
});
