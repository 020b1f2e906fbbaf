/**
 * What the device must reach against either wireguard-go is reached in the stored results, and docs/performance.md says of
 * each row that reaches its floor alone why.
 * @module
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { root } from './source-tree.ts';

interface Row {
  readonly id: string;
  readonly verdict: 'aim' | 'floor' | 'short' | '';
}

const textOf = (path: string): string => readFileSync(join(root, path), 'utf8');
const named = [...textOf('docs/performance.md').matchAll(/^- \*\*[^*]+\*\* \(([^)]+)\)/gm)].flatMap(
  ([, ids = '']) => [...ids.matchAll(/`([\w-]+)`/g)].map(([, id]) => id),
);

describe.each(['device-newest', 'device-debian'])('bench/results/%s.json', (name) => {
  const { rows } = JSON.parse(textOf(`bench/results/${name}.json`)) as { rows: readonly Row[] };
  const idsOf = (verdict: Row['verdict']): string[] =>
    rows.filter((row) => row.verdict === verdict).map(({ id }) => id);

  it('has no row short of its floor', () => expect(idsOf('short')).toEqual([]));

  it('has no row that reaches its floor alone and is not explained', () => {
    expect(idsOf('floor').filter((id) => !named.includes(id))).toEqual([]);
  });
});
