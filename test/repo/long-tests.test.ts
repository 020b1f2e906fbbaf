/**
 * Every long test belongs to a subject that `npm run test:long` takes, and CONTRIBUTING.md says what it is.
 * @module
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { longTests } from '../../scripts/long-tests.ts';
import { root } from './source-tree.ts';

const there = readdirSync(join(root, 'test/netns'))
  .filter((name) => name.endsWith('.long.test.ts'))
  .map((name) => name.replace('.long.test.ts', ''));

describe('the long tests', () => {
  it('have one subject each', () => {
    expect(Object.values(longTests).flat().toSorted()).toEqual(there.toSorted());
  });

  it('are all in CONTRIBUTING.md', () => {
    const text = readFileSync(join(root, 'CONTRIBUTING.md'), 'utf8');
    const rows = [...text.matchAll(/^\| `([\w-]+)` \|/gm)].map(([, name = '']) => name);
    expect(there.filter((name) => !rows.includes(name))).toEqual([]);
    expect(Object.keys(longTests).filter((subject) => !text.includes(`test:long -- ${subject}`))).toEqual([]);
  });
});
