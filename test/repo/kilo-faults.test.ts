/**
 * Every fault of docs/kilo-faults.md has a test that is named after it.
 * @module
 */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { sources } from './source-tree.ts';

const COUNT = 24;
const numbers = Array.from({ length: COUNT }, (_, at) => at + 1);

const namedBy = (pattern: RegExp, texts: readonly string[]): number[] =>
  [
    ...new Set(texts.flatMap((text) => [...text.matchAll(pattern)].map(([, number]) => Number(number)))),
  ].toSorted((a, b) => a - b);

it('the page tells of each, and each has a test of its name', () => {
  const page = readFileSync(new URL('../../docs/kilo-faults.md', import.meta.url), 'utf8');
  expect(namedBy(/^\| (\d+) \|/gm, [page])).toEqual(numbers);
  const tests = sources('test').map(({ text }) => text);
  expect(namedBy(/(?:it|test)(?:\.\w+)?\(\s*['"`]kilo §10\.4\.(\d+): /g, tests)).toEqual(
    numbers.filter((number) => number !== 19),
  );
  // A table of cases, whose name stands after them.
  expect(namedBy(/\]\)\(['"`]kilo §10\.4\.(\d+): /g, tests)).toContain(19);
});
