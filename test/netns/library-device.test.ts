/**
 * The example of docs/library.md that runs a device from code, on two hosts, and `kilowire top` watching it:
 *
 *     kwo-a  10.0.0.2  kwoa ══ 192.0.2.1 ── veth ── 192.0.2.2 ══ kwob  10.0.0.1  kwo-b
 * @module
 */
import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { end, Host, isRoot, join2, root, run, until } from './host.ts';

const example = join(root, 'docs/examples/run-device.ts');
const kilowire = join(root, 'bin/kilowire');
const KEY = /public key (\S+)/;

/** The example running on a host, and what it has printed. */
class Running {
  readonly process: ChildProcess;
  output = '';
  readonly link: string;

  constructor(host: Host, link: string, ...args: string[]) {
    this.link = link;
    this.process = host.spawn([process.execPath, example, link, ...args]);
    for (const stream of [this.process.stdout, this.process.stderr]) {
      stream?.on('data', (text) => {
        this.output += text;
      });
    }
  }

  async said(what: RegExp): Promise<RegExpExecArray> {
    let match: RegExpExecArray | null = null;
    await until(`"${what}" from ${this.link}, which said: ${this.output}`, () => {
      match = what.exec(this.output);
      return match !== null;
    });
    return match as unknown as RegExpExecArray;
  }
}

describe.skipIf(!isRoot)('a device run from code', () => {
  let hosts: readonly [Host, Host];
  let a: Running;
  let b: Running;

  beforeAll(async () => {
    hosts = [new Host('kwo-a'), new Host('kwo-b')];
    join2(...hosts, 'underlay', '192.0.2', '2001:db8:1');
    a = new Running(hosts[0], 'kwoa', '10.0.0.2/24');
    const [, keyA = ''] = await a.said(KEY);
    b = new Running(hosts[1], 'kwob', '10.0.0.1/24', keyA, '192.0.2.1:51820');
    const [, keyB = ''] = await b.said(KEY);
    run('wg', 'set', 'kwoa', 'peer', keyB, 'allowed-ips', '10.0.0.1/32');
  });

  afterAll(async () => {
    for (const each of [a, b]) await end(each.process);
    for (const host of hosts) host.remove();
  });

  test('is up with its address, and answers wg', () => {
    expect(hosts[1].ip('-br', 'addr', 'show', 'kwob')).toMatch(/10\.0\.0\.1\/24/);
    expect(run('wg', 'show', 'kwob', 'listen-port')).toBe('51820\n');
    expect(run('wg', 'show', 'kwob', 'allowed-ips')).toMatch(/\t10\.0\.0\.2\/32\n$/);
  });

  test('carries packets, and both sides hear of the handshake', async () => {
    expect(hosts[1].pings('10.0.0.2')).toBe(true);
    await b.said(/^handshake with \S{8}… as initiator$/m);
    await a.said(/^handshake with \S{8}… as responder$/m);
  });

  test('hears that a peer has moved', async () => {
    run('wg', 'set', 'kwoa', 'listen-port', '51999');
    expect(hosts[0].pings('10.0.0.1')).toBe(true);
    await b.said(/^\S{8}… is at 192\.0\.2\.1:51999$/m);
  });

  test('hears of new keys while the old ones are in use', async () => {
    expect(b.output).not.toContain('new keys');
    const [, keyB = ''] = await b.said(KEY);
    // Taken away and put back, the peer has no session and begins a new one with the other side, whose own is young.
    run('wg', 'set', 'kwoa', 'peer', keyB, 'remove');
    run('wg', 'set', 'kwoa', 'peer', keyB, 'allowed-ips', '10.0.0.1/32', 'endpoint', '192.0.2.2:51820');
    expect(hosts[0].pings('10.0.0.1')).toBe(true);
    await b.said(/^new keys with \S{8}…$/m);
  });

  test('counts drops', async () => {
    expect(hosts[1].pings('10.0.0.77', 1)).toBe(false);
    await b.said(/^dropped: \d+ no-peer$/m);
  });

  test('is watched by kilowire top', () => {
    const view = JSON.parse(run(kilowire, 'top', 'kwob', '--json', '--interval', '0.1'));
    expect(view).toMatchObject({ interface: 'kwob', listenPort: 51820, metrics: { mtu: 1420 } });
    expect(view.peers).toHaveLength(1);
    expect(view.peers[0]).toMatchObject({ allowedIps: ['10.0.0.2/32'], endpoint: '192.0.2.1:51999' });
    expect(view.peers[0].roundTripMs).toBeGreaterThan(0);
    expect(view.peers[0].pathMtu).toBe(1500);
    expect(view.peers[0].txBytes).toBeGreaterThan(500);
    expect(view.drops['no-peer']).toBeGreaterThan(0);
    const text = run(kilowire, 'top', 'kwob', '--interval', '0.1');
    expect(text).toMatch(/^kwob {2}port 51820 {2}MTU 1420 {2}1 peer\n/);
    expect(text).toMatch(/^no-peer +\d+/m);
    expect(() => run(kilowire, 'top', 'kwo-none')).toThrow(/no program serves that interface/);
  });

  test('tells Prometheus what it counts', () => {
    const lines = run(kilowire, 'device', 'kwob', '--metrics').split('\n');
    expect(lines).toContain('kilowire_device_mtu{interface="kwob"} 1420');
    expect(lines).toContainEqual(
      expect.stringMatching(/^kilowire_device_drops_total\{interface="kwob",reason="no-peer"\} [1-9]\d*$/),
    );
    expect(lines).toContainEqual(
      expect.stringMatching(
        /^kilowire_tunnel_path_mtu_bytes\{interface="kwob",public_key="\S{44}",.*\} 1500$/,
      ),
    );
    expect(() => run(kilowire, 'device', 'kwo-none', '--metrics')).toThrow(
      /no program serves that interface/,
    );
  });

  test('tells of a path that is narrower than its link', () => {
    hosts[1].ip('route', 'add', '192.0.2.1/32', 'dev', 'underlay', 'mtu', '1380');
    const view = JSON.parse(run(kilowire, 'top', 'kwob', '--json', '--interval', '0.1'));
    expect(view.peers[0].pathMtu).toBe(1380);
  });

  test('hears that its interface was deleted, and leaves', async () => {
    hosts[0].ip('link', 'del', 'kwoa');
    await a.said(/^kwoa is gone/m);
    await until('the end of kwoa', () => a.process.exitCode === 0);
    expect(existsSync('/var/run/wireguard/kwoa.sock')).toBe(false);
  });

  test('closes when it is told to, and takes its interface along', async () => {
    await end(b.process);
    await b.said(/^\S{8}… sent \d+ received \d+$/m);
    expect(b.process.exitCode).toBe(0);
    expect(hosts[1].ip('-br', 'link')).not.toContain('kwob');
    expect(existsSync('/var/run/wireguard/kwob.sock')).toBe(false);
  });
});
