/**
 * What changes on a live tunnel: keys, presharing, MTU, the link's state, peers; what the network marks; and what may
 * not happen at all: packets to keys that are none, packets that go round in a circle.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Host, has, isRoot, join2, run, until } from './host.ts';
import { OneDevice, publicKeyOf, somePublicKey } from './one-device.ts';
import { TwoDevices } from './two-devices.ts';

const able = isRoot && has('wg') && has('ping') && has('tcpdump');

/** Keys that lead to an all-zero secret with any private key (RFC 7748 §6.1; the kernel selftest's list). */
const lowOrderKeys = [
  'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=',
  'AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=',
  '4Ot6fDtBuK4WVuP68Z/EatoJjeucMrH9hmIFFl9JuAA=',
  'X5yVvKNQjCSx0LFVnIPvWwREXMRYHI6G2CJO3dCfEVc=',
  '7P///////////////////////////////////////38=',
  '7f///////////////////////////////////////38=',
  '7v///////////////////////////////////////38=',
];

/** Counts lines of tcpdump that match, until it is stopped. */
async function capture(host: Host, link: string, filter: string) {
  const child = host.spawn(['tcpdump', '-i', link, '-nv', '-l', '--immediate-mode', filter]);
  let text = '';
  let log = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    log += chunk.toString();
  });
  await until('tcpdump', () => log.includes('listening on'));
  return {
    text: () => text,
    stop: async () => {
      child.kill('SIGINT');
      await new Promise((resolve) => child.once('close', resolve));
      return text;
    },
  };
}

describe.skipIf(!able)('a live tunnel', () => {
  let one: Host;
  let two: Host;
  let pair: TwoDevices;
  beforeAll(async () => {
    one = new Host('kwj-l1');
    two = new Host('kwj-l2');
    join2(one, two, 'underlay', '192.0.2', '2001:db8:1');
    pair = await TwoDevices.start({ name: 'kwjl', sockets: [one, two], psk: true });
    // Addresses of IPv6 would go with the link.
    for (const { host, link } of [pair.a, pair.b]) {
      host.exec('sysctl', '-qw', `net.ipv6.conf.${link}.keep_addr_on_down=1`);
    }
    pair.a.set('peer', pair.b.publicKey, 'endpoint', '192.0.2.2:20000');
    pair.b.set('peer', pair.a.publicKey, 'endpoint', '192.0.2.1:10000');
    expect(pair.a.reaches(pair.b)).toBe(true);
  });
  afterAll(async () => {
    await pair.close();
    one.remove();
    two.remove();
  });

  /** Pings all the while, and says how many were lost. */
  async function lossDuring(work: () => Promise<void>): Promise<number> {
    const pings = one.spawn(['ping', '-i', '0.02', pair.b.overlay]);
    let report = '';
    pings.stdout?.on('data', (chunk: Buffer) => {
      report += chunk.toString();
    });
    await sleep(200);
    await work();
    await sleep(200);
    pings.kill('SIGINT');
    await new Promise((resolve) => pings.once('close', resolve));
    const [, sent, received] = report.match(/(\d+) packets transmitted, (\d+) received/) ?? [];
    return Number(sent) - Number(received);
  }

  /** Down, with the ports closed, and up again: sessions are gone. */
  async function restartLink(): Promise<void> {
    const ports = () => one.exec('ss', '-Hlun', 'sport', '10000').trim();
    pair.a.host.ip('link', 'set', pair.a.link, 'down');
    await until('the ports to close', () => ports() === '');
    pair.a.host.ip('link', 'set', pair.a.link, 'up');
    await until('the ports', () => ports() !== '');
  }

  it('carries packets of a new MTU, larger and smaller, at once', () => {
    // The underlay takes the largest, as the loopback does in the reference test.
    for (const host of [one, two]) host.ip('link', 'set', 'underlay', 'mtu', '35000');
    for (const mtu of [34_736, 1280, 1420]) {
      for (const side of [pair.a, pair.b]) side.host.ip('link', 'set', side.link, 'mtu', String(mtu));
      const size = String(mtu - 28);
      one.exec('ping', '-q', '-c', '3', '-i', '0.05', '-W', '1', '-M', 'do', '-s', size, pair.b.overlay);
    }
    for (const host of [one, two]) host.ip('link', 'set', 'underlay', 'mtu', '1500');
  });

  it('changes its private key: the peer that is told meets it within a round trip', () => {
    const key = run('wg', 'genkey').trim();
    const before = pair.a.publicKey;
    pair.b.set(
      'peer',
      publicKeyOf(key),
      'allowed-ips',
      '10.9.0.1/32,fd09::1/128',
      'endpoint',
      '192.0.2.1:10000',
    );
    pair.a.set(
      'private-key',
      pair.folder.write('new', key),
      'peer',
      pair.b.publicKey,
      'preshared-key',
      '/dev/null',
    );
    expect(pair.a.reaches(pair.b)).toBe(true);
    expect(run('wg', 'show', pair.b.link, 'latest-handshakes')).toMatch(/\t[1-9]\d+\n/);
    // And back.
    pair.b.set('peer', publicKeyOf(key), 'remove');
    pair.b.set('peer', before, 'allowed-ips', '10.9.0.1/32,fd09::1/128', 'preshared-key', '/dev/null');
    pair.a.set('private-key', pair.folder.write('old', pair.a.key));
    expect(pair.a.reaches(pair.b)).toBe(true);
  });

  it('loses nothing while the preshared key is changed on both sides', async () => {
    const psk = pair.folder.write('psk-new', run('wg', 'genpsk'));
    const lost = await lossDuring(async () => {
      pair.a.set('peer', pair.b.publicKey, 'preshared-key', psk);
      await sleep(300);
      pair.b.set('peer', pair.a.publicKey, 'preshared-key', psk);
      await sleep(300);
    });
    expect(lost).toBe(0);
  });

  it('has no new session while only one side has the preshared key, and one as soon as both do', async () => {
    const wrong = pair.folder.write('psk-wrong', run('wg', 'genpsk'));
    const right = pair.folder.write('psk-right', run('wg', 'genpsk'));
    pair.a.set('peer', pair.b.publicKey, 'preshared-key', wrong);
    pair.b.set('peer', pair.a.publicKey, 'preshared-key', right);
    await restartLink();
    expect(pair.a.reaches(pair.b)).toBe(false);
    pair.a.set('peer', pair.b.publicKey, 'preshared-key', right);
    await restartLink();
    await until('the tunnel', () => pair.a.reaches(pair.b), 10_000);
  });

  it('loses nothing while ports, marks, keepalives and other peers change', async () => {
    const lost = await lossDuring(async () => {
      for (let i = 0; i < 10; i += 1) {
        const other = somePublicKey();
        pair.a.set(
          'fwmark',
          String(i),
          'peer',
          other,
          'allowed-ips',
          `10.8.${i}.0/24`,
          'endpoint',
          '192.0.2.9:9',
        );
        pair.a.set('peer', pair.b.publicKey, 'persistent-keepalive', String(i));
        pair.a.set('listen-port', String(11_000 + i));
        await sleep(30);
        pair.a.set('peer', other, 'remove');
      }
      pair.a.set('listen-port', '10000');
    });
    // What was on its way to a port that is closed by then.
    expect(lost).toBeLessThanOrEqual(2);
  });

  it('comes back after the link was down, with its ports closed meanwhile', async () => {
    for (let i = 0; i < 5; i += 1) {
      await restartLink();
      expect(pair.a.reaches(pair.b)).toBe(true);
      // A peer takes one initiation in 20 ms.
      await sleep(50);
    }
    expect(pair.a.device.isRunning && pair.b.device.isRunning).toBe(true);
  });

  it('survives flapping under traffic', async () => {
    const pings = one.spawn(['ping', '-q', '-f', pair.b.overlay]);
    for (let i = 0; i < 30; i += 1) {
      pair.a.host.ip('link', 'set', pair.a.link, i % 2 === 0 ? 'down' : 'up', 'mtu', String(1300 + i));
    }
    pings.kill('SIGINT');
    await new Promise((resolve) => pings.once('close', resolve));
    pair.a.host.ip('link', 'set', pair.a.link, 'up', 'mtu', '1420');
    await until('the tunnel', () => pair.a.reaches(pair.b), 10_000);
  });

  it('says at once that a removed peer’s address cannot be reached', () => {
    const answer = (address: string): string => {
      try {
        return one.exec('ping', '-c', '1', '-W', '2', address);
      } catch (error) {
        return (error as { stdout: string }).stdout;
      }
    };
    pair.a.set('peer', pair.b.publicKey, 'remove');
    expect(answer(pair.b.overlay)).toMatch(/Destination Host Unreachable/);
    expect(answer(pair.b.overlay6)).toMatch(/Destination unreachable: Address unreachable/);
    // A peer without an endpoint, too.
    const psk = ['preshared-key', `${pair.folder.path}/psk-right`];
    pair.a.set('peer', pair.b.publicKey, ...psk, 'allowed-ips', '10.9.0.2/32,fd09::2/128');
    expect(answer(pair.b.overlay)).toMatch(/Destination Host Unreachable/);
    pair.a.set('peer', pair.b.publicKey, 'endpoint', '192.0.2.2:20000');
    expect(pair.a.reaches(pair.b)).toBe(true);
  });

  it('marks handshakes AF41, copies what may be marked outside and carries marks inside', async () => {
    for (const [family, underlay, overlay] of [
      [4, '192.0.2.2', pair.b.overlay],
      [6, '[2001:db8:1::2]', pair.b.overlay6],
    ] as const) {
      // tcpdump writes a class with two digits.
      const [tos, zero] = family === 4 ? ['tos 0x', ''] : ['class 0x', '0'];
      pair.a.set('peer', pair.b.publicKey, 'endpoint', `${underlay}:20000`);
      // A fresh session, so that there is a handshake to see.
      await restartLink();
      const outside = await capture(two, 'underlay', 'udp dst port 20000');
      const inside = await capture(two, pair.b.link, 'icmp or icmp6[icmp6type] == icmp6-echo');
      expect(pair.a.reaches(pair.b, family)).toBe(true);
      // ECT(0), ECT(1), and a mark set before the tunnel; DSCP 0xb8 stays inside.
      for (const dscp of ['0xba', '0xb9', '0xbb']) one.exec('ping', '-q', '-c', '1', '-Q', dscp, overlay);
      // The network marks what may be marked.
      if (family === 4) {
        two.exec('nft', 'add table ip kwj; add chain ip kwj in { type filter hook prerouting priority 0; }');
        two.exec('nft', 'add rule ip kwj in udp dport 20000 ip ecn set ce');
        one.exec('ping', '-q', '-c', '1', '-Q', '0xba', overlay);
        one.exec('ping', '-q', '-c', '1', '-Q', '0xb8', overlay);
        two.exec('nft', 'delete table ip kwj');
      }
      await sleep(200);
      const out = await outside.stop();
      const inner = await inside.stop();
      expect(out).toContain(`${tos}88`);
      expect(out).toContain(`${tos}${zero}2`);
      expect(out).toContain(`${tos}${zero}1`);
      expect(out).not.toContain(`${tos}b`);
      for (const value of ['ba', 'b9', 'bb']) expect(inner).toContain(`${tos}${value}`);
      if (family === 4) {
        // Once by the sender, once by the network; and what cannot be marked came as it was.
        expect(inner.match(/tos 0xbb/g)?.length).toBeGreaterThanOrEqual(2);
        expect(inner).toContain('tos 0xb8');
      }
    }
  });

  it('goes on in a tunnel of another tunnel', async () => {
    const inner = await TwoDevices.start({ name: 'kwjlw', sockets: [one, two] });
    try {
      for (const side of [inner.a, inner.b]) {
        side.host.ip('addr', 'flush', 'dev', side.link);
        side.host.ip('link', 'set', side.link, 'mtu', '1340');
      }
      inner.a.host.ip('addr', 'add', '10.7.0.1/24', 'dev', inner.a.link);
      inner.b.host.ip('addr', 'add', '10.7.0.2/24', 'dev', inner.b.link);
      // Its port is the outer pair's unless it gets one of its own.
      inner.a.set('listen-port', '10001', 'peer', inner.b.publicKey, 'allowed-ips', '10.7.0.2/32');
      inner.b.set('listen-port', '20001', 'peer', inner.a.publicKey, 'allowed-ips', '10.7.0.1/32');
      inner.a.set('peer', inner.b.publicKey, 'endpoint', `${pair.b.overlay}:20001`);
      expect(one.pings('10.7.0.2')).toBe(true);
      expect(inner.b.show('endpoints', inner.a)).toBe(`${pair.a.overlay}:10001`);
    } finally {
      await inner.close();
    }
  });

  it('does not send its own packets round and round', async () => {
    // The way to the endpoint leads into the tunnel.
    pair.a.set(
      'peer',
      pair.b.publicKey,
      'allowed-ips',
      '10.9.0.2/32,192.0.2.2/32',
      'endpoint',
      '192.0.2.2:20000',
    );
    expect(pair.a.reaches(pair.b)).toBe(true);
    one.ip('route', 'add', '192.0.2.2/32', 'dev', pair.a.link);
    const before = pair.a.bytesSent(pair.b);
    for (const size of ['56', '1392', '8000']) {
      try {
        one.exec('ping', '-q', '-c', '2', '-i', '0.1', '-W', '1', '-s', size, pair.b.overlay);
      } catch {
        // Nobody answers.
      }
    }
    expect(pair.a.bytesSent(pair.b) - before).toBeLessThan(70_000);
    one.ip('route', 'del', '192.0.2.2/32', 'dev', pair.a.link);
    pair.a.set('peer', pair.b.publicKey, 'allowed-ips', '10.9.0.2/32,fd09::2/128');
    expect(pair.a.reaches(pair.b)).toBe(true);
  });
});

describe.skipIf(!able)('a device of its own', () => {
  let host: Host;
  beforeAll(() => {
    host = new Host('kwj-l3');
    run(
      'ip',
      'link',
      'add',
      'net',
      'netns',
      host.name,
      'type',
      'veth',
      'peer',
      'name',
      'net2',
      'netns',
      host.name,
    );
    host.ip('addr', 'add', '192.0.2.1/24', 'dev', 'net');
    host.ip('link', 'set', 'net', 'up');
    host.ip('link', 'set', 'net2', 'up');
    host.ip('neigh', 'add', '192.0.2.9', 'lladdr', '02:00:00:00:00:09', 'dev', 'net');
  });
  afterAll(() => {
    host.remove();
  });
  const sent = (link: string): number =>
    run('wg', 'show', link, 'transfer')
      .trim()
      .split('\n')
      .reduce((sum, line) => sum + Number(line.split('\t')[2] ?? 0), 0);

  it('says persistently that it is there as soon as it is up, or gets its key', async () => {
    const key = run('wg', 'genkey');
    const device = await OneDevice.start(host, 'kwjlp');
    const write = (text: string) => ['bash', '-c', `wg set kwjlp private-key <(echo '${text.trim()}')`];
    const words = ['endpoint', '192.0.2.9:9', 'persistent-keepalive', '25'];
    run('wg', 'set', 'kwjlp', 'peer', somePublicKey(), ...words);
    const [program = '', ...args] = write(key);
    run(program, ...args);
    expect(sent('kwjlp')).toBe(0);
    host.ip('link', 'set', 'kwjlp', 'up');
    await until('an initiation at link up', () => sent('kwjlp') > 0, 3000);
    await device.close();
    const second = await OneDevice.start(host, 'kwjlp');
    run('wg', 'set', 'kwjlp', 'peer', somePublicKey(), ...words);
    host.ip('link', 'set', 'kwjlp', 'up');
    await sleep(500);
    expect(sent('kwjlp'), 'without a key').toBe(0);
    run(program, ...args);
    await until('an initiation at the key', () => sent('kwjlp') > 0, 3000);
    await second.close();
  });

  it('sends nothing to a key of low order', async () => {
    const device = await OneDevice.start(host, 'kwjlo');
    run('bash', '-c', 'wg set kwjlo private-key <(wg genkey)');
    host.ip('link', 'set', 'kwjlo', 'up');
    host.ip('addr', 'add', '10.6.0.1/16', 'dev', 'kwjlo');
    lowOrderKeys.forEach((key, i) => {
      const words = [
        'endpoint',
        '192.0.2.9:9',
        'persistent-keepalive',
        '1',
        'allowed-ips',
        `10.6.${i + 1}.0/24`,
      ];
      run('wg', 'set', 'kwjlo', 'peer', key, ...words);
      host.spawn(['ping', '-q', '-c', '3', '-i', '0.2', '-W', '1', `10.6.${i + 1}.1`]);
    });
    await sleep(2000);
    expect(run('wg', 'show', 'kwjlo', 'peers').trim().split('\n')).toHaveLength(lowOrderKeys.length);
    expect(sent('kwjlo')).toBe(0);
    await device.close();
  });

  it('works where IPv6 is switched off', async () => {
    const [a, b] = [new Host('kwj-l4'), new Host('kwj-l5')];
    for (const side of [a, b]) side.exec('sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1');
    run('ip', 'link', 'add', 'net', 'netns', a.name, 'type', 'veth', 'peer', 'name', 'net', 'netns', b.name);
    [a, b].forEach((side, i) => {
      side.ip('addr', 'add', `192.0.2.${i + 1}/24`, 'dev', 'net');
      side.ip('link', 'set', 'net', 'up');
    });
    const devices = await Promise.all([OneDevice.start(a, 'kwjl61'), OneDevice.start(b, 'kwjl62')]);
    const keys = [run('wg', 'genkey').trim(), run('wg', 'genkey').trim()] as const;
    for (const [i, side] of [a, b].entries()) {
      const link = `kwjl6${i + 1}`;
      const peer = publicKeyOf(keys[1 - i] as string);
      const words = `peer ${peer} endpoint 192.0.2.${2 - i}:7777 allowed-ips 10.9.0.${2 - i}/32`;
      run('bash', '-c', `wg set ${link} listen-port 7777 private-key <(echo '${keys[i]}') ${words}`);
      side.ip('addr', 'add', `10.9.0.${i + 1}/24`, 'dev', link);
      side.ip('link', 'set', link, 'up');
      await until('the port', () => side.exec('ss', '-Hlun', 'sport', '7777').trim() !== '');
    }
    expect(a.pings('10.9.0.2')).toBe(true);
    for (const device of devices) await device.close();
    a.remove();
    b.remove();
  });

  it('stays down without the right to mark packets, and says why', async () => {
    // A TUN that is there already may be used by its owner without NET_ADMIN.
    host.ip('tuntap', 'add', 'kwjlm', 'mode', 'tun', 'user', '0', 'vnet_hdr');
    const without = ['setpriv', '--bounding-set=-net_admin,-net_raw', '--inh-caps=-net_admin,-net_raw'];
    const device = await OneDevice.start(host, 'kwjlm', {}, without);
    host.ip('link', 'set', 'kwjlm', 'up');
    await until('the state', () => device.log.includes('now Up'));
    expect(() => run('wg', 'set', 'kwjlm', 'fwmark', '7')).toThrow(/Address already in use/);
    expect(run('wg', 'show', 'kwjlm', 'fwmark').trim()).toBe('off');
    host.ip('link', 'set', 'kwjlm', 'down');
    await until('the state', () => device.log.includes('now Down'));
    run('wg', 'set', 'kwjlm', 'fwmark', '7');
    host.ip('link', 'set', 'kwjlm', 'up');
    await until('the reason', () => device.log.includes('does not let us mark packets'));
    expect(run('wg', 'show', 'kwjlm', 'fwmark').trim()).toBe('0x7');
    run('wg', 'set', 'kwjlm', 'fwmark', '0');
    await until('the state', () => device.log.match(/now Up/g)?.length === 2);
    await device.close();
    host.ip('link', 'del', 'kwjlm');
  });
});
