/**
 * What the tests of dual stack clouds look at: a transfer between pods, and datagrams that had to be cut.
 * @module
 */
import { once } from 'node:events';
import { expect } from 'vitest';
import { until } from './host.ts';
import { podAddress, type StackWorld } from './stack-world.ts';

const BYTES = 20_000_000;

/** Sends from one pod to the other over TCP; answers the largest segment the sender saw itself allowed. */
export const transfer = async (world: StackWorld, family: 4 | 6): Promise<number> => {
  const address = podAddress('b', family);
  const sink = `require('net').createServer({ allowHalfOpen: true }, (s) => { let n = 0; s.on('data', (d) => { n += d.length; }); s.on('end', () => { s.write(String(n)); }); }).listen(5001, '${address}', () => console.log('ready'))`;
  const source = `const s = require('net').connect({ host: '${address}', port: 5001, allowHalfOpen: true }); s.end(Buffer.alloc(${BYTES})); s.on('data', (d) => console.log('got ' + d)); s.on('error', (e) => console.log(String(e)))`;
  const server = world.host('pod-b').spawn([process.execPath, '-e', sink]);
  await once(server.stdout ?? server, 'data');
  const client = world.host('pod-a').spawn([process.execPath, '-e', source]);
  let said = '';
  client.stdout?.on('data', (piece: Buffer) => {
    said += piece.toString();
  });
  let largest = 0;
  try {
    await until(
      `${BYTES} bytes to arrive over IPv${family}`,
      () => {
        const sockets = world.host('pod-a').exec('ss', '-tinH', 'dport', '=', ':5001');
        for (const [, mss] of sockets.matchAll(/ mss:(\d+)/g)) largest = Math.max(largest, Number(mss));
        return said.includes('got ');
      },
      30_000,
    );
  } finally {
    client.kill('SIGKILL');
    server.kill('SIGKILL');
  }
  expect(said.trim()).toBe(`got ${BYTES}`);
  return largest;
};

/** Datagrams this host had to cut. */
export const fragmentsMade = (world: StackWorld, name: string): number => {
  const host = world.host(name);
  const lines = host
    .exec('cat', '/proc/net/snmp')
    .split('\n')
    .filter((line) => line.startsWith('Ip:'));
  const [names, values] = lines.map((line) => line.split(' '));
  const four = Number(values?.[names?.indexOf('FragCreates') ?? -1]);
  const six = /Ip6FragCreates\s+(\d+)/.exec(host.exec('cat', '/proc/net/snmp6'))?.[1];
  return four + Number(six);
};

/** Pods, and the nodes themselves, reach pods elsewhere, by both families with small and large packets. */
export const checkReach = (world: StackWorld): void => {
  for (const family of [4, 6] as const) {
    expect(world.reaches('a', 'b', family), `the node, IPv${family}`).toBe(true);
    expect(world.reaches('pod-a', 'b', family, 1200), `large, IPv${family}`).toBe(true);
  }
  expect(world.conflist('a')).toContain(
    '"ranges":[[{"subnet":"10.42.1.0/24"}],[{"subnet":"fd42:0:0:1::/64"}]]',
  );
};

/**
 * Pods that hear nothing of packets that are too large send none, and no node cuts any.
 * @param inner what fits into the tunnel
 */
export const checkNarrowWay = async (world: StackWorld, inner: number): Promise<void> => {
  const knows = (name: string, family: '-4' | '-6'): boolean =>
    world.host(name).ip(family, 'route', 'show', 'dev', 'kilo0').includes(`mtu ${inner}`);
  await until(
    'the routes to know',
    () => ['a', 'b'].every((name) => knows(name, '-4') && knows(name, '-6')),
    20_000,
  );
  for (const name of ['pod-a', 'pod-b'])
    world
      .host(name)
      .exec(
        'nft',
        'add table inet deaf; add chain inet deaf in { type filter hook input priority 0; }; add rule inet deaf in icmp type destination-unreachable drop; add rule inet deaf in icmpv6 type packet-too-big drop',
      );
  const before = fragmentsMade(world, 'a');
  // Less IPv4 or IPv6, TCP and its time stamps.
  expect(await transfer(world, 4)).toBe(inner - 40 - 12);
  expect(await transfer(world, 6)).toBe(inner - 60 - 12);
  expect(fragmentsMade(world, 'a') - before).toBe(0);
};
