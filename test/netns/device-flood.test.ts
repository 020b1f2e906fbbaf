/**
 * Forged initiations with a right mac1, as fast as another process can send them: what has a session goes on, a newcomer
 * gets one by cookie, and nothing grows.
 * @module
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { Host, has, isRoot, join2, run, until } from './host.ts';
import { OneDevice, publicKeyOf } from './one-device.ts';
import { TwoDevices } from './two-devices.ts';

const able = isRoot && has('wg') && has('ping');
const flooder = fileURLToPath(new URL('./initiation-flood.ts', import.meta.url));
const SECONDS = 15;
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
    try {
      b.set('peer', a.publicKey, 'endpoint', '192.0.2.1:10000');
      expect(b.reaches(a)).toBe(true);
      a.set('peer', publicKeyOf(key), 'allowed-ips', '10.9.0.3/32');
      const words = ['peer', a.publicKey, 'endpoint', '192.0.2.1:10000', 'allowed-ips', '10.9.0.1/32'];
      run('wg', 'set', 'kwjfn', 'private-key', pair.folder.write('newcomer', key), ...words);
      const flood = friend.spawn([
        process.execPath,
        flooder,
        a.publicKey,
        '192.0.2.1',
        '10000',
        String(SECONDS),
      ]);
      let sent = '';
      flood.stdout?.on('data', (chunk: Buffer) => {
        sent += chunk.toString();
      });
      const over = new Promise((resolve) => flood.once('close', resolve));
      await sleep(2000);
      const before = rss(a.device.process.pid ?? 0);
      const pings = friend.spawn(['ping', '-q', '-I', b.link, '-i', '0.05', '-c', '100', a.overlay]);
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
      await until('the newcomer', newcomerReaches, (SECONDS - 3) * 1000);
      const took = Date.now() - started;
      await over;
      const after = rss(a.device.process.pid ?? 0);
      console.log(
        `${sent.trim()} initiations in ${SECONDS} s; the newcomer's handshake took ${(took / 1000).toFixed(1)} s; memory ` +
          `${before.toFixed(0)} → ${after.toFixed(0)} MiB; ${report.match(/[\d.]+% packet loss/)?.[0]}`,
      );
      const [, received = '0'] = report.match(/(\d+) received/) ?? [];
      expect(Number(received)).toBeGreaterThanOrEqual(90);
      // What is in flight between the threads has a bound: it is reached in seconds and then stays.
      expect(after).toBeLessThan(before + 48);
      expect(a.device.isRunning).toBe(true);
    } finally {
      await newcomer.close();
      await pair.close();
      server.remove();
      friend.remove();
    }
  });
});
