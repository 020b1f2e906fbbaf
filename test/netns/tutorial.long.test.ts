/**
 * docs/tutorial.md, word by word.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { follow, Session } from './document-session.ts';
import { has, isRoot, root, run } from './host.ts';

const missing = ['wg', 'wg-quick', 'tcpdump', 'curl', 'ping'].filter((name) => !has(name));
if (missing.length > 0) console.log(`skipping the tutorial: not on this machine: ${missing.join(', ')}`);

describe.skipIf(!isRoot || missing.length > 0)('the tutorial', () => {
  const session = new Session(root, process.env);

  afterAll(async () => {
    await session.close();
    for (const left of ['ip netns del kw-visitor', 'rm -rf /etc/netns/kw-visitor /tmp/visitor.conf'])
      try {
        run('sh', '-c', left);
      } catch {
        // It was not there.
      }
    run(join(root, 'bin/kilowire'), 'lab', 'down');
  });

  test('is as it says', { timeout: 240_000 }, async () => {
    const text = readFileSync(join(root, 'docs/tutorial.md'), 'utf8');
    expect(await follow(session, 'docs/tutorial.md', text)).toBeGreaterThan(20);
  });
});
