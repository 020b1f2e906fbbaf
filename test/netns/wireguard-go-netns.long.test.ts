/**
 * wireguard-go's own system test, tests/netns.sh, as it comes from the Go module proxy, run with our program in its
 * place. It has a mount namespace of its own, so that its interface names meet nobody else's control sockets.
 * @module
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { has, isRoot, kilowireWg } from './host.ts';
import { wireguardGoSource } from './toolchains.ts';

const tools = ['wg', 'ping', 'iperf3', 'ncat', 'ss', 'iptables', 'ip', 'unshare'];
const missing = tools.filter((name) => !has(name));
if (missing.length > 0) console.log(`skipping netns.sh: not on this machine: ${missing.join(', ')}`);
const source = isRoot && missing.length === 0 ? await wireguardGoSource() : undefined;
const script = source === undefined ? undefined : join(source, 'tests/netns.sh');

// Distributions that have dropped ping6 mean ping by it.
const prepare = [
  'mkdir -p /run/wireguard /run/netns',
  'mount -t tmpfs none /run/wireguard && mount -t tmpfs none /run/netns',
  'bin=$(mktemp -d) && mount -t tmpfs none "$bin"',
  '{ command -v ping6 >/dev/null || ln -s "$(command -v ping)" "$bin/ping6"; }',
  'PATH="$PATH:$bin" exec timeout -k 10 600 bash "$0" "$1"',
].join(' && ');

describe.skipIf(script === undefined || !existsSync(script))("wireguard-go's netns.sh", () => {
  it('runs to its last line with our program', { timeout: 660_000 }, async () => {
    const args = ['-m', '--propagation', 'private', 'sh', '-c', prepare, script as string, kilowireWg];
    const child = spawn('unshare', args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        output += chunk.toString();
      });
    }
    const code = await new Promise((resolve) => child.once('exit', resolve));
    expect(output.slice(-6000)).toContain('Objects that were created were also destroyed.');
    expect(code).toBe(0);
  });
});
