/**
 * Random and nearly right bytes at the UDP port and at the control socket of a running device: it goes on carrying
 * packets, answers `wg`, and does not grow. KILOWIRE_GARBAGE_SECONDS sets how long (15 by default; 600 for the record).
 * @module
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { type Host, has, isRoot, kilowireWg, root, run } from './host.ts';
import { WireguardPair } from './wireguard-pair.ts';

const seconds = Number(process.env.KILOWIRE_GARBAGE_SECONDS ?? 15);
const able = isRoot && has('wg') && has('ping');

/** A sender of its own process in the host's namespace: garbage of every length, and every message type's shape. */
function startUdpGarbage(host: Host, address: string, port: number, forSeconds: number) {
  const program = `
    import { createSocket } from 'node:dgram';
    import { randomBytes, randomInt } from 'node:crypto';
    const socket = createSocket('udp4');
    const lengths = [0, 1, 31, 32, 33, 64, 92, 148, 149, 1452, 9000];
    const end = Date.now() + ${forSeconds * 1000};
    let sent = 0;
    const burst = () => {
      if (Date.now() > end) { console.log(sent); socket.close(); return; }
      for (let i = 0; i < 100; i += 1) {
        const length = randomInt(3) === 0 ? randomInt(2000) : lengths[randomInt(lengths.length)];
        const bytes = randomBytes(length);
        if (length >= 4 && randomInt(4) !== 0) bytes.writeUInt32LE(randomInt(6), 0);
        socket.send(bytes, ${port}, '${address}');
        sent += 1;
      }
      setImmediate(burst);
    };
    burst();`;
  return host.spawn([`${root}/node_modules/.bin/node`, '--input-type=module', '-e', program]);
}

const texts = [
  'get=1\n\n',
  'get=1\nx\n\n',
  'set=1\n\n',
  'set=1\nprivate_key=zz\n\n',
  'set=1\nlisten_port=x5001\n\n',
  `set=1\npublic_key=${'ab'.repeat(32)}\nallowed_ip=1.2.3.4/33\n\n`,
  `set=1\npublic_key=${'cd'.repeat(32)}\nremove=true\n\n`,
  'set=1\npublic_key\n\n',
  '\n\n\n',
  '=\n',
];

/** One client: some operations, whole or cut off, some bytes, and away without a good-bye. */
async function oneClient(path: string): Promise<void> {
  const client = connect(path);
  client.on('error', () => undefined);
  client.resume();
  await new Promise((resolve) => {
    client.once('connect', resolve);
    client.once('close', resolve);
  });
  const text = texts[Math.floor(Math.random() * texts.length)] ?? '';
  client.write(Math.random() < 0.5 ? text : text.slice(0, Math.floor(Math.random() * text.length)));
  if (Math.random() < 0.3) client.write(randomBytes(Math.floor(Math.random() * 70_000)));
  await sleep(Math.random() * 5);
  if (Math.random() < 0.5) client.end();
  else client.destroy();
  await new Promise((resolve) => (client.destroyed ? resolve(undefined) : client.once('close', resolve)));
}

const rss = (pid: number): number =>
  Number(readFileSync(`/proc/${pid}/status`, 'utf8').match(/^VmRSS:\s*(\d+)/m)?.[1] ?? 0) / 1024;

describe.skipIf(!able)('garbage', { timeout: (seconds + 60) * 1000 }, () => {
  it(`at the UDP port and the control socket for ${seconds} s neither stops nor grows the device`, async () => {
    const pair = new WireguardPair({ name: 'kwz', programs: [kilowireWg, kilowireWg] });
    try {
      await pair.startBoth();
      expect(pair.a.host.pings(pair.b.overlay)).toBe(true);
      const pid = pair.b.process?.pid ?? 0;
      const socket = `/var/run/wireguard/${pair.b.link}.sock`;
      const end = Date.now() + seconds * 1000;
      const sender = startUdpGarbage(pair.a.host, '192.0.2.2', 5001, seconds);
      const clients = Array.from({ length: 4 }, async () => {
        while (Date.now() < end) await oneClient(socket);
      });
      // The first third warms up what is compiled and pooled.
      await sleep((seconds * 1000) / 3);
      const before = rss(pid);
      await Promise.all([...clients, new Promise((resolve) => sender.once('close', resolve))]);
      const after = rss(pid);
      console.log(
        `memory ${before.toFixed(1)} → ${after.toFixed(1)} MiB in the last two thirds of ${seconds} s`,
      );
      expect(pair.b.process?.exitCode).toBeNull();
      // Under load, which lasts a second longer than its cause, a handshake costs a cookie and five seconds.
      await sleep(2000);
      expect(pair.a.host.pings(pair.b.overlay), 'pings after the garbage').toBe(true);
      expect(run('wg', 'show', pair.b.link, 'peers').trim().split('\n')).toContain(pair.a.publicKey);
      expect(after).toBeLessThan(before + 16);
      expect(after).toBeLessThan(130);
    } finally {
      await pair.close();
    }
  });
});
