/**
 * The pages in docs/api say what the sources export today; `npm run docs` writes them anew.
 * @module
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { apiPages } from '../../scripts/api-pages.ts';
import { root } from './source-tree.ts';

describe('API pages', () => {
  const pages = [...apiPages()];

  it.each(pages)('docs/api/%s is up to date (npm run docs)', (name, text) => {
    expect(readFileSync(join(root, 'docs/api', name), 'utf8')).toBe(text);
  });

  it.each(pages)('docs/api/%s names nothing that is private', (_, text) => {
    expect(text).not.toMatch(/#private|@internal|\bHandshaker\b|\bany\b;/);
  });
});
