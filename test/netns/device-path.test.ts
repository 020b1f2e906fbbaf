/**
 * What a path can do to a device under load: too narrow, forbidden, gone, its address taken away, its queue full, its
 * interface changed or deleted; and datagrams joined as no peer of ours would join them. The answer is a counted drop
 * or a recovery.
 * @module
 */
import { chmodSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { DropName } from '../../src/device/drops.ts';
import { Folder, type Host, has, isRoot, kilowireWg, root, until } from './host.ts';
import { type Side, WireguardPair } from './wireguard-pair.ts';

const node = `${root}/node_modules/.bin/node`;
const able = isRoot && ['wg', 'ping', 'iperf3', 'nft', 'tc'].every(has);

/** 20 runs of 128 datagrams of type 4 with an unknown index, 20 of 100 without a type and a shorter one behind. */
const sendRuns = (address: string, port: number): string[] => [
  node,
  `${root}/test/netns/run-sender.ts`,
  address,
  String(port),
];

/** A pair of which A counts its drops. */
class CountedPair {
  readonly pair: WireguardPair;
  readonly #folder = new Folder();
  readonly #drops: string;

  constructor(name: string, options: { readonly family?: 4 | 6 } = {}) {
    this.#drops = this.#folder.write('drops', '{}');
    const script = `#!/bin/sh\nexec '${node}' '${root}/test/netns/counting-device.ts' "$@"\n`;
    const counting = this.#folder.write('counting', script);
    chmodSync(counting, 0o700);
    const environment = { DROPS: this.#drops };
    this.pair = new WireguardPair({ name, programs: [counting, kilowireWg], environment, ...options });
  }

  get a(): Side {
    return this.pair.a;
  }

  get b(): Side {
    return this.pair.b;
  }

  drops(name: DropName): number {
    return (JSON.parse(readFileSync(this.#drops, 'utf8')) as Record<string, number>)[name] ?? 0;
  }

  /** A ping in each direction. */
  get isAlive(): boolean {
    return this.a.host.pings(this.b.overlay, 1) && this.b.host.pings(this.a.overlay, 1);
  }

  async close(): Promise<void> {
    await this.pair.close();
    this.#folder.remove();
  }
}

async function withPair(
  name: string,
  run: (counted: CountedPair) => Promise<void>,
  options?: { readonly family?: 4 | 6 },
): Promise<void> {
  const counted = new CountedPair(name, options);
  try {
    await counted.pair.startBoth();
    await until('a first ping', () => counted.isAlive, 20_000);
    await run(counted);
  } finally {
    await counted.close();
  }
}

/** Moves so many MB over TCP from one host to another's address; throws when that does not end within `seconds`. */
async function transfer(
  from: Host,
  to: Host,
  address: string,
  megabytes: number,
  seconds = 30,
): Promise<void> {
  const server = to.spawn(['iperf3', '-s', '-1']);
  await until('the iperf3 server', () => to.exec('ss', '-Hltn', 'sport', '5201').trim() !== '');
  try {
    const args = ['iperf3', '-c', address, '-n', `${megabytes}M`, '--connect-timeout', '5000'];
    const client = from.spawn(['timeout', String(seconds), ...args]);
    const status = await new Promise((resolve) => client.once('close', resolve));
    expect(status, `${megabytes} MB within ${seconds} s`).toBe(0);
  } finally {
    server.kill('SIGKILL');
  }
}

describe.skipIf(!able)('a device under load', { timeout: 90_000 }, () => {
  for (const family of [4, 6] as const) {
    it.concurrent(`sends in fragments over a path of 1400 bytes, IPv${family} outside`, () =>
      withPair(
        `kwkn${family}`,
        async (counted) => {
          const { a, b } = counted;
          for (const { host } of [a, b]) host.ip('link', 'set', 'underlay', 'mtu', '1400');
          await transfer(a.host, b.host, b.overlay, 100);
          await transfer(b.host, a.host, a.overlay6, 100);
          await sleep(150);
          expect(counted.drops('send-too-long')).toBe(0);
        },
        { family },
      ));
  }

  it.concurrent('counts what the packet filter forbids, each datagram of a run, and goes on when it may', () =>
    withPair('kwkf', async (counted) => {
      const { a, b } = counted;
      const nft = (text: string) => a.host.exec('nft', text);
      nft('add table inet kwk; add chain inet kwk out { type filter hook output priority 0; }');
      nft('add rule inet kwk out udp dport 5001 drop');
      a.host.exec(...sendRuns(b.overlay, 9));
      await until('drops to be counted', () => counted.drops('send-failed') >= 20 * (128 + 101));
      nft('delete table inet kwk');
      expect(counted.isAlive).toBe(true);
      await transfer(a.host, b.host, b.overlay, 50);
    }));

  it.concurrent('counts what has no route, and goes on when there is one again', () =>
    withPair('kwku', async (counted) => {
      const { a, b } = counted;
      const load = a.host.spawn(['ping', '-q', '-f', '-w', '3', b.overlay]);
      const over = new Promise((resolve) => load.once('close', resolve));
      await sleep(500);
      a.host.ip('link', 'set', 'underlay', 'down');
      await until('drops to be counted', () => counted.drops('send-failed') > 0);
      a.host.ip('link', 'set', 'underlay', 'up');
      await over;
      await until('packets to pass again', () => counted.isAlive);
    }));

  it.concurrent('goes on whatever ICMP says of its datagrams, true or forged', () =>
    withPair('kwdai', async (counted) => {
      const { a, b } = counted;
      const load = a.host.spawn(['ping', '-q', '-f', '-w', '20', b.overlay]);
      const over = new Promise((resolve) => load.once('close', resolve));
      const sender = `${root}/test/netns/icmp-sender.ts`;
      b.host.exec(node, sender, '192.0.2.1', '5001', '192.0.2.2', '5001');
      // The path is believed to be narrow now; the kernel cuts what does not fit, as over a path that is.
      await until('packets to pass', () => counted.isAlive);
      await transfer(a.host, b.host, b.overlay, 20, 60);
      const nft = (text: string) => b.host.exec('nft', text);
      nft('add table inet kwda; add chain inet kwda in { type filter hook input priority 0; }');
      for (const answer of ['port-unreachable', 'host-unreachable', 'net-prohibited', 'admin-prohibited']) {
        nft(`add rule inet kwda in udp dport 5001 reject with icmp type ${answer}`);
        await sleep(200);
        expect(counted.isAlive).toBe(false);
        nft('flush chain inet kwda in');
        await until(`packets to pass after ${answer}`, () => counted.isAlive);
      }
      load.kill('SIGINT');
      await over;
    }));

  it.concurrent('answers from another address when the one it was called at is taken away', () =>
    withPair('kwka', async (counted) => {
      const { a, b } = counted;
      a.host.ip('addr', 'add', '192.0.2.11/24', 'dev', 'underlay');
      b.host.exec('wg', 'set', b.link, 'peer', a.publicKey, 'endpoint', '192.0.2.11:5001');
      expect(b.host.pings(a.overlay)).toBe(true);
      a.host.ip('addr', 'del', '192.0.2.11/24', 'dev', 'underlay');
      expect(a.host.pings(b.overlay), 'from the other address').toBe(true);
      expect(b.host.pings(a.overlay), 'to which the peer followed').toBe(true);
    }));

  it.concurrent('waits for a full queue, counts what it cannot wait for, and goes on', () =>
    withPair('kwkq', async (counted) => {
      const { a, b } = counted;
      a.host.exec(...'tc qdisc add dev underlay root tbf rate 8mbit burst 16kb limit 200mb'.split(' '));
      const args = ['iperf3', '-c', b.overlay, '-u', '-b', '400M', '-l', '1300', '-t', '3'];
      const server = b.host.spawn(['iperf3', '-s', '-1']);
      await until('the server', () => b.host.exec('ss', '-Hltn', 'sport', '5201').trim() !== '');
      const client = a.host.spawn(args);
      await until('drops to be counted', () => counted.drops('send-buffer-full') > 0);
      client.kill('SIGKILL');
      server.kill('SIGKILL');
      a.host.exec(...'tc qdisc del dev underlay root'.split(' '));
      await until('packets to pass again', () => counted.isAlive);
    }));

  it.concurrent('opens runs of 128 datagrams and of unequal ones, and counts what is not for it', () =>
    withPair('kwkg', async (counted) => {
      counted.b.host.exec(...sendRuns('192.0.2.1', 5001));
      await until('them to be counted', () => counted.drops('unknown-type') >= 20 * 101);
      expect(counted.drops('unknown-index')).toBe(20 * 128);
      expect(counted.drops('unknown-type')).toBe(20 * 101);
      expect(counted.isAlive).toBe(true);
    }));

  it.concurrent('carries on while its MTU changes under it', () =>
    withPair('kwkm', async ({ a, b }) => {
      const moved = transfer(a.host, b.host, b.overlay, 500, 60);
      for (const mtu of [1300, 9000, 576, 1420, 1280, 65_535, 1420]) {
        await sleep(150);
        for (const { host, link } of [a, b]) host.ip('link', 'set', link, 'mtu', String(mtu));
      }
      await moved;
      expect(a.host.pings(b.overlay)).toBe(true);
    }));

  it.concurrent('ends when its interface is deleted under load', () =>
    withPair('kwkd', async ({ a, b }) => {
      const load = a.host.spawn(['ping', '-q', '-f', '-w', '5', b.overlay]);
      const loadEnded = new Promise((resolve) => load.once('close', resolve));
      await sleep(300);
      const { process } = b;
      const ended = new Promise((resolve) => process?.once('close', resolve));
      b.host.ip('link', 'del', b.link);
      expect(await ended, 'exit status').toBe(0);
      load.kill('SIGINT');
      await loadEnded;
    }));

  it.concurrent('goes on when the network below is taken away and built again', () =>
    withPair('kwkv', async (counted) => {
      const { a, b } = counted;
      a.host.ip('link', 'del', 'underlay');
      expect(a.host.pings(b.overlay, 1)).toBe(false);
      a.host.ip(...'link add underlay type veth peer name underlay netns'.split(' '), b.host.name);
      [a, b].forEach(({ host }, index) => {
        host.ip('addr', 'add', `192.0.2.${index + 1}/24`, 'dev', 'underlay');
        host.ip('link', 'set', 'underlay', 'up');
      });
      await until('packets to pass again', () => counted.isAlive);
    }));
});
