/**
 * Endpoints and source addresses: where packets are sent when one side moves, when an address goes away, when a server
 * has several, behind a NAT, and who may say so. The scenarios of WireGuard's own system tests, each in its namespaces.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Host, has, isRoot, run, until } from './host.ts';
import { execWith, TwoDevices } from './two-devices.ts';

const able = isRoot && has('wg') && has('ping') && has('ncat') && has('nft');

/** Programs in one namespace, whose loopback is the network; interfaces in two others. */
async function overLoopback(name: string) {
  const hosts = ['0', '1', '2'].map((number) => new Host(`${name}-${number}`)) as [Host, Host, Host];
  const [sockets, one, two] = hosts;
  const pair = await TwoDevices.start({
    name,
    sockets: [sockets, sockets],
    links: [one, two],
    psk: true,
  });
  const close = async () => {
    await pair.close();
    for (const host of hosts) host.remove();
  };
  return { ...{ a: pair.a, b: pair.b, sockets, one, two }, close };
}

/** Two namespaces joined by a veth with the addresses given. */
async function overVeth(name: string, addresses: readonly [readonly string[], readonly string[]]) {
  const hosts = ['1', '2'].map((number) => new Host(`${name}-${number}`)) as [Host, Host];
  const [one, two] = hosts;
  run(
    'ip',
    'link',
    'add',
    'net',
    'netns',
    one.name,
    'type',
    'veth',
    'peer',
    'name',
    'net',
    'netns',
    two.name,
  );
  hosts.forEach((host, index) => {
    host.exec('sysctl', '-qw', 'net.ipv4.conf.net.promote_secondaries=1');
    for (const address of addresses[index] as readonly string[]) {
      const isV6 = address.includes(':');
      host.ip('addr', 'add', address, 'dev', 'net', ...(isV6 ? ['nodad'] : []));
    }
    host.ip('link', 'set', 'net', 'up');
  });
  // The first second of an IPv6 link: solicitations are not answered before its multicast groups are joined.
  for (const [index, from] of hosts.entries()) {
    for (const address of addresses[1 - index] as readonly string[]) {
      const target = address.split('/')[0] as string;
      await until(`${target} under the tunnel`, () => from.pings(target, 1));
    }
  }
  const pair = await TwoDevices.start({ name, sockets: hosts });
  const close = async () => {
    await pair.close();
    for (const host of hosts) host.remove();
  };
  return { ...{ a: pair.a, b: pair.b, one, two, folder: pair.folder }, close };
}

describe.skipIf(!able)('endpoints', () => {
  it('follow a peer to another address, another port and another family', async () => {
    const { a, b, sockets, close } = await overLoopback('kwjra');
    try {
      a.set('peer', b.publicKey, 'endpoint', '127.0.0.1:20000');
      expect(a.reaches(b)).toBe(true);
      expect(b.show('endpoints', a)).toBe('127.0.0.1:10000');
      sockets.ip('addr', 'del', '127.0.0.1/8', 'dev', 'lo');
      sockets.ip('addr', 'add', '127.212.121.99/8', 'dev', 'lo');
      a.set('listen-port', '9999');
      a.set('peer', b.publicKey, 'endpoint', '127.0.0.1:20000');
      expect(a.reaches(b, 6)).toBe(true);
      expect(b.show('endpoints', a)).toBe('127.212.121.99:9999');
      a.set('listen-port', '9998');
      a.set('peer', b.publicKey, 'endpoint', '[::1]:20000');
      expect(a.reaches(b)).toBe(true);
      expect(b.show('endpoints', a)).toBe('[::1]:9998');
    } finally {
      await close();
    }
  });

  it('move also with a packet whose inner source is somebody else’s, though that is dropped', async () => {
    const { a, b, one, two, close } = await overLoopback('kwjrb');
    const receive = async () => {
      const child = one.spawn(['timeout', '1', 'ncat', '-l', '-u', '-p', '1111']);
      let text = '';
      child.stdout?.on('data', (chunk: Buffer) => {
        text += chunk.toString();
        child.kill();
      });
      const over = new Promise((resolve) => child.once('exit', resolve));
      await until('the listener', () => one.exec('ss', '-Hlun', 'sport', '1111').trim() !== '');
      execWith(two, 'X', 'ncat', '-u', a.overlay, '1111');
      await over;
      return text;
    };
    try {
      a.set('peer', b.publicKey, 'allowed-ips', '10.9.0.0/24', 'endpoint', '[::1]:20000');
      b.set('peer', a.publicKey, 'endpoint', '[::1]:10000');
      expect(await receive()).toBe('X');
      // The more specific range wins, whoever else has a wider one.
      const more = run('bash', '-c', 'wg genkey | wg pubkey').trim();
      a.set('peer', more, 'allowed-ips', '10.9.0.2/32');
      b.set('listen-port', '9997');
      expect(await receive()).toBe('');
      expect(a.show('endpoints', b)).toBe('[::1]:9997');
      a.set('peer', more, 'remove');
      expect(await receive()).toBe('X');
    } finally {
      await close();
    }
  });

  it('hold through a NAT that forgets after two seconds, by persistent keepalive', async () => {
    const [inside, router, outside] = ['1', '2', '3'].map((number) => new Host(`kwjrc-${number}`)) as [
      Host,
      Host,
      Host,
    ];
    const join = (host: Host, link: string, address: string, gateway: string) => {
      run(
        'ip',
        'link',
        'add',
        link,
        'netns',
        router.name,
        'type',
        'veth',
        'peer',
        'name',
        'net',
        'netns',
        host.name,
      );
      host.ip('addr', 'add', address, 'dev', 'net');
      router.ip('addr', 'add', gateway, 'dev', link);
      host.ip('link', 'set', 'net', 'up');
      router.ip('link', 'set', link, 'up');
    };
    join(inside, 'in', '192.168.1.100/24', '192.168.1.1/24');
    join(outside, 'out', '10.0.0.100/24', '10.0.0.1/24');
    inside.ip('route', 'add', 'default', 'via', '192.168.1.1');
    router.exec('sysctl', '-qw', 'net.ipv4.ip_forward=1');
    execWith(
      router,
      'table ip nat { chain post { type nat hook postrouting priority 100; oifname "out" snat to 10.0.0.1; }; }',
      ...['nft', '-f', '-'],
    );
    router.exec('sysctl', '-qw', 'net.netfilter.nf_conntrack_udp_timeout=2');
    router.exec('sysctl', '-qw', 'net.netfilter.nf_conntrack_udp_timeout_stream=2');
    const pair = await TwoDevices.start({ name: 'kwjrc', sockets: [inside, outside] });
    const { a, b } = pair;
    try {
      a.set('peer', b.publicKey, 'endpoint', '10.0.0.100:20000', 'persistent-keepalive', '1');
      expect(a.reaches(b)).toBe(true);
      expect(b.reaches(a)).toBe(true);
      expect(b.show('endpoints', a)).toBe('10.0.0.1:10000');
      await sleep(3000);
      expect(b.reaches(a), 'from outside, 3 s later').toBe(true);
    } finally {
      await pair.close();
      for (const host of [inside, router, outside]) host.remove();
    }
  });
});

describe.skipIf(!able)('source addresses', () => {
  it('are forgotten when they are gone', async () => {
    const { a, b, one, close } = await overVeth('kwjrd', [
      ['10.0.0.1/24', 'fd00:aa::1/96'],
      ['10.0.0.2/24', 'fd00:aa::2/96'],
    ]);
    try {
      for (const [endpoint, old, next] of [
        ['10.0.0.2:20000', '10.0.0.1/24', '10.0.0.10/24'],
        ['[fd00:aa::2]:20000', 'fd00:aa::1/96', 'fd00:aa::10/96'],
      ] as const) {
        a.set('peer', b.publicKey, 'endpoint', endpoint);
        expect(a.reaches(b), endpoint).toBe(true);
        one.ip('addr', 'add', next, 'dev', 'net', ...(next.includes(':') ? ['nodad'] : []));
        one.ip('addr', 'del', old, 'dev', 'net');
        expect(a.reaches(b), `${endpoint} without ${old}`).toBe(true);
      }
    } finally {
      await close();
    }
  });

  it('of answers are the addresses that were addressed, also under joined datagrams', async () => {
    const { a, b, close } = await overVeth('kwjre', [
      ['10.0.0.1/24', '10.0.0.2/24', 'fd00:aa::1/96', 'fd00:aa::2/96'],
      ['10.0.0.3/24', 'fd00:aa::3/96'],
    ]);
    try {
      for (const endpoint of ['10.0.0.1', '[fd00:aa::1]', '10.0.0.2', '[fd00:aa::2]']) {
        b.set('peer', a.publicKey, 'endpoint', `${endpoint}:10000`);
        expect(b.reaches(a), endpoint).toBe(true);
        expect(b.show('endpoints', a)).toBe(`${endpoint}:10000`);
        // A burst arrives as one train (UDP_GRO), with one source address for all of it.
        b.host.exec('ping', '-q', '-f', '-c', '300', '-s', '1300', a.overlay);
        expect(b.show('endpoints', a), 'after a burst').toBe(`${endpoint}:10000`);
      }
    } finally {
      await close();
    }
  });

  it('follow the route when another way becomes better', async () => {
    const { a, b, one, two, close } = await overVeth('kwjrf', [['10.0.0.1/24'], ['10.0.0.2/24']]);
    try {
      a.set('peer', b.publicKey, 'endpoint', '10.0.0.2:20000');
      expect(a.reaches(b)).toBe(true);
      expect(b.show('endpoints', a)).toBe('10.0.0.1:10000');
      run(
        'ip',
        'link',
        'add',
        'net2',
        'netns',
        one.name,
        'type',
        'veth',
        'peer',
        'name',
        'net2',
        'netns',
        two.name,
      );
      one.ip('addr', 'add', '10.0.1.1/24', 'dev', 'net2');
      two.ip('addr', 'add', '10.0.1.2/24', 'dev', 'net2');
      one.ip('link', 'set', 'net2', 'up');
      two.ip('link', 'set', 'net2', 'up');
      one.ip('route', 'add', '10.0.0.2/32', 'via', '10.0.1.2', 'dev', 'net2', 'src', '10.0.1.1');
      one.ip('link', 'set', 'net', 'down');
      await until('the tunnel over the other way', () => a.reaches(b), 20_000);
      expect(b.show('endpoints', a)).toBe('10.0.1.1:10000');
    } finally {
      await close();
    }
  });

  it('may come and go while packets flow', async () => {
    const { a, b, one, close } = await overVeth('kwjrg', [['10.0.0.1/24'], ['10.0.0.2/24']]);
    try {
      a.set('peer', b.publicKey, 'endpoint', '10.0.0.2:20000');
      expect(a.reaches(b)).toBe(true);
      const pings = a.host.spawn(['ping', '-q', '-i', '0.02', '-c', '150', b.overlay]);
      let report = '';
      pings.stdout?.on('data', (chunk: Buffer) => {
        report += chunk.toString();
      });
      const over = new Promise((resolve) => pings.once('close', resolve));
      for (let i = 0; i < 10; i += 1) {
        one.ip('addr', 'add', `10.0.0.${i % 2 === 0 ? 10 : 1}/24`, 'dev', 'net');
        one.ip('addr', 'del', `10.0.0.${i % 2 === 0 ? 1 : 10}/24`, 'dev', 'net');
        await sleep(200);
      }
      await over;
      // An answer on its way to an address that goes is lost; what is sent afterwards is not.
      expect(Number(report.match(/(\d+) received/)?.[1])).toBeGreaterThanOrEqual(140);
    } finally {
      await close();
    }
  });
});

describe.skipIf(!able)('a stranger', () => {
  it('who repeats or invents datagrams moves nobody', async () => {
    const { a, b, two, close } = await overVeth('kwjrh', [['10.0.0.1/24'], ['10.0.0.2/24']]);
    try {
      a.set('peer', b.publicKey, 'endpoint', '10.0.0.2:20000');
      expect(a.reaches(b)).toBe(true);
      // Every shape of message from another port of A's address, in the namespace of B.
      const program = `
        const { createSocket } = require('node:dgram');
        const { randomBytes } = require('node:crypto');
        const socket = createSocket('udp4');
        let left = 400;
        const next = () => {
          if (left-- === 0) return socket.close();
          const type = 1 + (left % 4);
          const bytes = randomBytes([148, 92, 64, 128][type - 1]);
          bytes.writeUInt32LE(type, 0);
          socket.send(bytes, 20000, '10.0.0.2', next);
        };
        next();`;
      two.exec(process.execPath, '-e', program);
      expect(b.show('endpoints', a)).toBe('10.0.0.1:10000');
      expect(b.reaches(a)).toBe(true);
    } finally {
      await close();
    }
  });
});
