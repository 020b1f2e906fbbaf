/**
 * The examples of docs/library.md that need no root, run as a reader would, from the package's built modules.
 * @module
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const runExample = (name: string, ...args: string[]): string =>
  execFileSync(process.execPath, [join(root, 'docs/examples', name), ...args], { encoding: 'utf8' });

describe('two tunnels in one process', () => {
  test('shake hands, carry a packet each way, and keep the session alive', () => {
    expect(runExample('two-tunnels.ts').trimEnd().split('\n')).toEqual([
      'alice sends: staged',
      // Sizes: WireGuard paper §5.4; 25 bytes of packet padded to 32, 34 to 48, and 32 around them.
      'alice → bob  148 bytes: response',
      'bob → alice  92 bytes: established',
      'alice → bob  64 bytes: data',
      'bob got: hello',
      'bob sends: sent',
      'bob → alice  80 bytes: data',
      'alice got: hello yourself',
      'alice → bob  32 bytes: keepalive',
    ]);
  });
});

describe('parsing a .conf', () => {
  test('reads addresses, keys, ranges and the name of an endpoint, and writes the changed file', () => {
    const wide = 'AllowedIPs = 10.0.0.2/32, fd00:1::2/128, fd00:2::/64';
    expect(runExample('parse-conf.ts').trimEnd().split('\n')).toEqual([
      'addresses: 10.0.0.1/24, fd00:1::1/64',
      'peer: xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=',
      '  may use: 10.0.0.2/32, fd00:1::2/128',
      '  resolve: peer.example.net 51820',
      wide,
    ]);
  });
});

describe('docs/library.md', () => {
  const text = readFileSync(join(root, 'docs/library.md'), 'utf8');
  const blocks = [...text.matchAll(/```(\w+)\n([\s\S]*?)```/g)].map(([, language, code]) => ({
    language,
    code,
  }));

  test.each(['two-tunnels.ts', 'run-device.ts', 'parse-conf.ts'])('shows %s as it is', (name) => {
    const code = readFileSync(join(root, 'docs/examples', name), 'utf8');
    expect(blocks.filter(({ language }) => language === 'ts').map((block) => block.code)).toContain(code);
  });

  test.each(['two-tunnels.ts', 'parse-conf.ts'])('shows what %s prints', (name) => {
    const printed = runExample(name);
    expect(blocks.filter(({ language }) => language === 'text').map((block) => block.code)).toContain(
      printed,
    );
  });
});
