/**
 * The two runtimes' system calls are twins: the same program on Node (koffi) and on Bun (bun:ffi) does and reads the same.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { deleteNamedNamespace } from '../../src/linux/namespaces.ts';

const root = join(import.meta.dirname, '../..');
const arch = process.arch === 'arm64' ? 'aarch64' : 'x64-baseline';
const bun = join(root, `node_modules/@oven/bun-linux-${arch}/bin/bun`);
const script = join(import.meta.dirname, 'linux-runtime-script.ts');

const run = (runtime: string): Record<string, unknown> => {
  const result = spawnSync(runtime, [script, 'kwf-host', 'kwf-pod'], { encoding: 'utf8', timeout: 30_000 });
  expect(result.stderr).toBe('');
  expect(result.status).toBe(0);
  return JSON.parse(result.stdout);
};

describe.skipIf(process.getuid?.() !== 0)('the runtimes', () => {
  afterEach(() => {
    deleteNamedNamespace('kwf-host');
    deleteNamedNamespace('kwf-pod');
  });

  const expected = {
    bridge: '02:00:00:00:00:01',
    port: ['veth1', '02:00:00:00:00:03', 1420, true, 'veth', true, 1],
    eth0: ['eth0', '02:00:00:00:00:02', 1420, true],
    absent: true,
    addresses: ['127.0.0.1/8', '10.42.0.2/24'],
    routes: [
      ['0.0.0.0/0', '10.42.0.1'],
      ['10.42.0.0/24', null],
    ],
    forwarding: '1',
    rules: [['payload', 'bitwise', 'cmp', 'payload', 'lookup', 'masq']],
    elements: [['10.0.0.0/8']],
    locks: [0, true],
    refused: [
      ['ERR_NETLINK', 'EEXIST', expect.stringContaining('Address already assigned')],
      ['ERR_SYSTEM_CALL', 'EINVAL', 'The system call setns failed: invalid argument (EINVAL).'],
      ['ERR_SYSTEM_CALL', 'EINVAL', 'The system call unshare failed: invalid argument (EINVAL).'],
    ],
  };

  test('Node does what the CNI executable asks', () => {
    expect(run(process.execPath)).toEqual(expected);
  });

  test.skipIf(!existsSync(bun))('Bun does the same', () => {
    expect(run(bun)).toEqual(expected);
  });
});
