/**
 * `connect`, as far as it can be held without a network: its flags, and what it writes down for whoever comes after.
 * @module
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import {
  isRunning,
  readSession,
  removeSession,
  startOf,
  writeSession,
} from '../../../src/admin/connect/session-file.ts';
import { cli } from './admin-world.ts';

const folder = mkdtempSync(join(tmpdir(), 'kilowire-connect-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('the session file', () => {
  const session = {
    pid: process.pid,
    started: startOf(process.pid),
    interface: 'kwad0',
    madeInterface: true,
    madePeer: { name: 'laptop', publicKey: 'k' },
  };

  it('comes back as it was written, and goes', () => {
    writeSession(folder, session);
    expect(readSession(folder, 'kwad0')).toEqual(session);
    expect(readSession(folder, 'kwad1')).toBeNull();
    removeSession(folder, 'kwad0');
    expect(readSession(folder, 'kwad0')).toBeNull();
  });

  it('knows a process from another that was given its number', () => {
    expect(session.started).toMatch(/^\d+$/);
    expect(isRunning(session)).toBe(true);
    expect(isRunning({ ...session, started: '1' })).toBe(false);
    expect(isRunning({ ...session, pid: 2 ** 22 + 1 })).toBe(false);
  });

  it.each(['', '{', 'null', '[]', '{"pid":"1"}'])('is no session when it holds %j', (text) => {
    writeFileSync(join(folder, 'connect-odd.json'), text);
    expect(readSession(folder, 'odd')).toBeNull();
  });
});

describe('flags', () => {
  it.each([
    [['-a', '10.5.0.1'], '"10.5.0.1" is not an address range; write it as 10.10.10.10/32.'],
    [['--allowed-ips', '10.43'], '"10.43" is not an address range'],
    [['--clean-up=perhaps'], 'It must be true or false.'],
    [['-i', 'a/b'], 'An interface has 1 to 15 characters, no space, no slash.'],
    [['--log-level', 'loud'], 'Allowed choices are all, debug, info, warn, error, none.'],
    [['--mtu', '9'], 'It must be a number from 576 to 65535.'],
    [['--persistent-keepalive', '-1'], 'It must be a number from 0 to 65535.'],
    [['a', 'b'], 'Too many arguments'],
  ])('%j: one sentence and status 2', async (args, sentence) => {
    const { status, stdout, stderr } = await cli('connect', ...args);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr.toLowerCase()).toContain(sentence.toLowerCase());
    expect(stderr.trimEnd()).not.toContain('\n');
  });

  it.runIf(process.getuid?.() === 0).each([
    [['--private-key', '/nowhere'], /^kilowire: The private key cannot be read from \/nowhere: .*\.\n$/],
    [
      ['--private-key', '/etc/hostname'],
      /^kilowire: \/etc\/hostname holds no private key: make one with wg genkey > .*\n$/,
    ],
    [['--resync-period', 'often'], /^kilowire: --resync-period: "often" is not a duration; .*\n$/],
  ])('%j: one sentence and status 1', async (args, sentence) => {
    const { status, stdout, stderr } = await cli('connect', ...args);
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(sentence);
  });
});
