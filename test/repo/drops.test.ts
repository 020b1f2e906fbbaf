/**
 * docs/drops.md explains every reason for which something is dropped.
 * @module
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { packetDropNames } from '../../src/aead/packet-drops.ts';
import { dropNames } from '../../src/device/drops.ts';
import { dropReasons } from '../../src/noise/handshake-outcome.ts';
import { root } from './source-tree.ts';

describe('docs/drops.md', () => {
  const text = readFileSync(join(root, 'docs/drops.md'), 'utf8');
  /** Reason → what happened and what to do. */
  const rows = new Map(
    [...text.matchAll(/^\| `([\w-]+)` \| (.+) \| (.+) \|$/gm)].map(([, name = '', ...cells]) => [
      name,
      cells,
    ]),
  );

  it.each(dropNames)('explains %s', (name) => expect(rows.get(name)).toHaveLength(2));

  it.each(dropReasons)('explains handshake-%s', (name) => {
    expect(rows.get(`handshake-${name}`)).toHaveLength(2);
  });

  it.each(Object.values(packetDropNames))('names %s', (name) => expect(text).toContain(`\`${name}\``));
});
