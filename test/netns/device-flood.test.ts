/**
 * Forged initiations with a right mac1, as fast as another process can send them: what has a session goes on, a newcomer
 * gets one by cookie, and nothing grows.
 * @module
 */
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { end, Host, has, isRoot, join2, run, until } from './host.ts';
import { OneDevice, publicKeyOf } from './one-device.ts';
import { TwoDevices } from './two-devices.ts';

const able = isRoot && has('wg') && has('ping');
const flooder = fileURLToPath(new URL('./initiation-flood.ts', import.meta.url));
/** The flood goes on until the test has seen enough, or so long. */
const SECONDS = 45;
/** Every five seconds the newcomer tries again; it needs two tries if nothing is lost. */
const PATIENCE = 25_000;
const rss = (pid: number): number =>
  Number(readFileSync(`/proc/${pid}/status`, 'utf8').match(/^VmRSS:\s*(\d+)/m)?.[1] ?? 0) / 1024;

describe.skipIf(!able)('a flood of initiations', { timeout: 90_000 }, () => {
  it('stops neither who has a session nor who wants one', async () => {
    const [server, friend] = [new Host('kwj-f1'), new Host('kwj-f2')] as const;
    join2(server, friend, 'underlay', '192.0.2', '2001:db8:1');
    const pair = await TwoDevices.start({ name: 'kwjf', sockets: [server, friend] });
    const { a, b } = pair;
    const newcomer = await OneDevice.start(friend, 'kwjfn');
    const key = run('wg', 'genkey').trim();
    let flood: ChildProcess | undefined;
    try {
      b.set('peer', a.publicKey, 'endpoint', '192.0.2.1:10000');
      expect(b.reaches(a)).toBe(true);
      a.set('peer', publicKeyOf(key), 'allowed-ips', '10.9.0.3/32');
      const words = ['peer', a.publicKey, 'endpoint', '192.0.2.1:10000', 'allowed-ips', '10.9.0.1/32'];
      run('wg', 'set', 'kwjfn', 'private-key', pair.folder.write('newcomer', key), ...words);
      flood = friend.spawn([process.execPath, flooder, a.publicKey, '192.0.2.1', '10000', String(SECONDS)]);
      let sent = '';
      flood.stdout?.on('data', (chunk: Buffer) => {
        sent += chunk.toString();
      });
      await sleep(2000);
      const before = rss(a.device.process.pid ?? 0);
      const pings = friend.spawn(['ping', '-q', '-I', b.link, '-i', '0.05', '-c', '100', a.overlay]);
      const pinged = new Promise((resolve) => pings.once('close', resolve));
      let report = '';
      pings.stdout?.on('data', (chunk: Buffer) => {
        report += chunk.toString();
      });
      friend.ip('addr', 'add', '10.9.0.3/32', 'dev', 'kwjfn');
      friend.ip('link', 'set', 'kwjfn', 'up');
      const newcomerReaches = () => {
        try {
          friend.exec('ping', '-q', '-I', 'kwjfn', '-c', '1', '-W', '1', a.overlay);
          return true;
        } catch {
          return false;
        }
      };
      const started = Date.now();
      await until('the newcomer', newcomerReaches, PATIENCE);
      const took = Date.now() - started;
      await pinged;
      const after = rss(a.device.process.pid ?? 0);
      expect(flood.exitCode).toBeNull();
      await end(flood);
      console.log(
        `${sent.trim()} initiations; the newcomer's handshake took ${(took / 1000).toFixed(1)} s; memory ` +
          `${before.toFixed(0)} → ${after.toFixed(0)} MiB; ${report.match(/[\d.]+% packet loss/)?.[0]}`,
      );
      const [, received = '0'] = report.match(/(\d+) received/) ?? [];
      expect(Number(received)).toBeGreaterThanOrEqual(90);
      expect(after).toBeLessThan(before + 16);
      expect(a.device.isRunning).toBe(true);
    } finally {
      if (flood !== undefined) await end(flood);
      await newcomer.close();
      await pair.close();
      server.remove();
      friend.remove();
    }
  });
});
