/**
 * nftables, judged by `nft list ruleset` of Debian and by packets:
 *
 *     kwf-pod 10.42.0.2 ── 10.42.0.1 kwf-node 192.0.2.1 ── 192.0.2.2 kwf-outside
 *                                            198.51.100.1 ── 198.51.100.2
 * @module
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { newAddress } from '../../src/linux/address.ts';
import { EEXIST, ENOENT, EOPNOTSUPP } from '../../src/linux/errno.ts';
import { changeLink, linkIndex, newLink } from '../../src/linux/link.ts';
import {
  createNamedNamespace,
  deleteNamedNamespace,
  enterNamespace,
  openNamespace,
  openRouteSocketIn,
  writeSysctlsIn,
} from '../../src/linux/namespaces.ts';
import { isNetlinkError, type NetlinkError, type NetlinkSocket } from '../../src/linux/netlink.ts';
import {
  addChain,
  addElements,
  addRule,
  addSet,
  addTable,
  applyNftables,
  type Change,
  claimElements,
  deleteElements,
  deleteRule,
  flushChain,
  flushSet,
  openNftablesSocket,
  recreateTable,
  removeTable,
  type Table,
} from '../../src/linux/nftables.ts';
import {
  accept,
  counter,
  dnat,
  drop,
  goto,
  jump,
  masquerade,
  redirect,
  reject,
  returnToCaller,
  setConnectionMark,
  setPacketMark,
  snat,
  verdictMap,
} from '../../src/linux/nftables-action.ts';
import { listChains, listElements, listRules, listTables } from '../../src/linux/nftables-list.ts';
import {
  concat,
  ct,
  fib,
  icmp,
  ip,
  ip6,
  markBits,
  metaKey,
  tcp,
  th,
  udp,
} from '../../src/linux/nftables-match.ts';
import type { SetSpec } from '../../src/linux/nftables-set.ts';
import { newRoute } from '../../src/linux/route.ts';

const POD = 'kwf-pod';
const NODE = 'kwf-node';
const OUTSIDE = 'kwf-outside';

const T: Table = { family: 'ip', name: 'kilowire' };
const local: SetSpec = { name: 'local', key: ['ipv4_addr'], interval: true };
const ports: SetSpec = {
  name: 'hostports',
  key: ['ipv4_addr', 'inet_proto', 'inet_service'],
  data: ['ipv4_addr', 'inet_service'],
};

const hasNft = spawnSync('nft', ['--version']).status === 0;

const ruleset = (): string[] =>
  execFileSync('ip', ['netns', 'exec', NODE, 'nft', '-n', 'list', 'ruleset'], { encoding: 'utf8' })
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');

const run = (namespace: string, ...command: readonly string[]) =>
  spawnSync('ip', ['netns', 'exec', namespace, ...command], { encoding: 'utf8', timeout: 10_000 });

/** One UDP datagram from `from`; who receives it at `to` and whose address he sees. */
const SEND = `
  const [address, port] = process.argv.slice(1);
  const socket = require('node:dgram').createSocket('udp4');
  socket.on('message', (m) => { console.log(String(m)); socket.close(); });
  socket.send('hello', Number(port), address);
  setTimeout(() => process.exit(1), 2000).unref();
  setTimeout(() => { console.log('silence'); socket.close(); }, 1200).unref();
`;
const ECHO = `
  const dgram = require('node:dgram');
  let open = 0;
  for (const port of process.argv.slice(1)) {
    const socket = dgram.createSocket('udp4');
    socket.on('message', (m, from) => socket.send(port + ' saw ' + from.address, from.port, from.address));
    socket.bind(Number(port), '0.0.0.0', () => { if (++open === process.argv.length - 1) console.log('ready'); });
  }
`;

const errorOf = (fn: () => void): NetlinkError => {
  try {
    fn();
  } catch (error) {
    if (isNetlinkError(error)) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
};

describe.skipIf(process.getuid?.() !== 0)('nftables', () => {
  let socket: NetlinkSocket;
  const apply = (...changes: readonly Change[]): void => applyNftables(socket, changes);

  beforeAll(() => {
    for (const name of [POD, NODE, OUTSIDE]) deleteNamedNamespace(name);
    const [pod, node, outside] = [POD, NODE, OUTSIDE].map((name) => createNamedNamespace(name)) as [
      string,
      string,
      string,
    ];
    const onNode = openRouteSocketIn(node);
    const attach = (path: string, name: string, address: string, gateway: string, routed: boolean): void => {
      const namespace = openNamespace(path);
      onNode.request(newLink({ kind: 'veth', name, up: true, peer: { name: 'eth0', namespace } }));
      closeSync(namespace);
      onNode.request(newAddress({ link: linkIndex(onNode, name), address: `${gateway}/24` }));
      const there = openRouteSocketIn(path);
      const eth0 = linkIndex(there, 'eth0');
      there.batch([changeLink(eth0, { up: true }), newAddress({ link: eth0, address: `${address}/24` })]);
      if (routed) there.request(newRoute({ destination: 'default', gateway }));
      there.close();
    };
    attach(pod, 'veth-pod', '10.42.0.2', '10.42.0.1', true);
    attach(outside, 'veth-out', '192.0.2.2', '192.0.2.1', false);
    onNode.close();
    writeSysctlsIn(node, { 'net/ipv4/ip_forward': 1 });
    socket = enterNamespace(node, openNftablesSocket);
  });

  afterEach(() => {
    apply(...listTables(socket).map(removeTable));
  });

  afterAll(() => {
    socket?.close();
    for (const name of [POD, NODE, OUTSIDE]) deleteNamedNamespace(name);
  });

  test.skipIf(!hasNft)('nft reads every kind of rule as the rule was meant', () => {
    apply(
      addTable(T),
      addChain(T, { name: 'post', base: { type: 'nat', hook: 'postrouting', priority: 100 } }),
      addChain(T, { name: 'pre', base: { type: 'nat', hook: 'prerouting', priority: -100 } }),
      addChain(T, {
        name: 'forward',
        base: { type: 'filter', hook: 'forward', priority: 0, policy: 'drop' },
      }),
      addChain(T, { name: 'ports' }),
      addChain(T, { name: 'plain' }),
      addSet(T, local),
      addElements(T, local, [
        { key: '10.0.0.0/8', comment: 'private' },
        { key: '11.0.0.0/8' },
        { key: '192.0.2.1-192.0.2.9' },
        { key: '240.0.0.0/4' },
      ]),
      addSet(T, ports),
      addElements(T, ports, [{ key: ['192.0.2.1', 'tcp', 8080], data: ['10.42.0.2', 80] }]),
      addSet(T, { name: 'doors', key: ['inet_service'], data: 'verdict' }),
      addElements(T, { name: 'doors', key: ['inet_service'], data: 'verdict' }, [
        { key: 22, data: 'accept' },
        { key: 23, data: { jump: 'plain' } },
      ]),
      addRule(
        T,
        'post',
        [ip.saddr.is('10.42.0.0/16'), ip.daddr.notIn('local'), counter(), masquerade({ random: 'fully' })],
        { comment: 'pods leave' },
      ),
      addRule(
        T,
        'post',
        [metaKey.oifname.is('wg*'), ip.saddr.not('10.4.0.1'), snat({ address: '10.4.0.1' })],
        {
          first: true,
        },
      ),
      addRule(T, 'pre', [fib.daddrType.is('local'), jump('ports')]),
      addRule(T, 'pre', [tcp.dport.is(81), redirect(8081)]),
      addRule(T, 'pre', [
        ip.daddr.is('10.43.0.10'),
        tcp.dport.is(80),
        dnat({ address: '10.42.0.2', port: 8080 }),
      ]),
      addRule(T, 'ports', [
        dnat({ key: concat(ip.daddr, metaKey.l4proto, th.dport), map: 'hostports', port: true }),
      ]),
      addRule(T, 'forward', [ct.state.has('established', 'related'), accept()]),
      addRule(T, 'forward', [ct.status.has('dnat'), accept()]),
      addRule(T, 'forward', [markBits(0x2000).is(0x2000), returnToCaller()]),
      addRule(T, 'forward', [
        ip.saddr.in(['10.1.0.0/16', '10.3.0.1']),
        tcp.dport.in([80, 443]),
        setPacketMark(0x2000, 0x2000),
        setConnectionMark(7),
      ]),
      addRule(T, 'forward', [udp.dport.is('1000-2000'), reject()]),
      addRule(T, 'forward', [tcp.dport.not('1000-2000'), reject('tcp-reset')]),
      addRule(T, 'forward', [icmp.type.is('echo-request'), metaKey.iifname.is('veth-pod'), goto('plain')]),
      addRule(T, 'forward', [verdictMap(tcp.dport, 'doors')]),
    );
    const lines = ruleset();
    expect(lines).toEqual(
      expect.arrayContaining([
        'type nat hook postrouting priority 100; policy accept;',
        'type filter hook forward priority 0; policy drop;',
        'elements = { 10.0.0.0/8 comment "private", 11.0.0.0/8,',
        '192.0.2.1-192.0.2.9, 240.0.0.0/4 }',
        'oifname "wg*" ip saddr != 10.4.0.1 snat to 10.4.0.1',
        'ip saddr 10.42.0.0/16 ip daddr != @local counter packets 0 bytes 0 masquerade fully-random comment "pods leave"',
        'fib daddr type 2 jump ports',
        'tcp dport 81 redirect to :8081',
        'ip daddr 10.43.0.10 tcp dport 80 dnat to 10.42.0.2:8080',
        'dnat ip to ip daddr . meta l4proto . th dport map @hostports',
        'ct status 0x20 accept',
        'meta mark & 0x00002000 == 0x00002000 return',
        'ip saddr { 10.1.0.0/16, 10.3.0.1 } tcp dport { 80, 443 } meta mark set meta mark | 0x00002000 ct mark set 0x00000007',
        'udp dport 1000-2000 reject',
        'tcp dport != 1000-2000 reject with tcp reset',
        'icmp type 8 iifname "veth-pod" goto plain',
        'tcp dport vmap @doors',
        'elements = { 22 : accept, 23 : jump plain }',
        'elements = { 192.0.2.1 . 6 . 8080 : 10.42.0.2 . 80 }',
      ]),
    );
    expect(lines.join('\n').indexOf('oifname "wg*"')).toBeLessThan(lines.join('\n').indexOf('pods leave'));
  });

  test.skipIf(!hasNft)('in a table for both IP versions each match says which one it means', () => {
    const both: Table = { family: 'inet', name: 'kilowire6' };
    apply(
      addTable(both),
      addChain(both, { name: 'in', base: { type: 'filter', hook: 'input', priority: -150 } }),
      addRule(both, 'in', [ip6.saddr.is('fd00::/8'), ip6.daddr.not('fd00::1'), drop()]),
      addRule(both, 'in', [ip.saddr.is('10.0.0.0/9'), tcp.dport.is(3), drop()]),
      addRule(both, 'in', [metaKey.nfproto.is('ipv6'), metaKey.iifname.is('lo'), reject()]),
    );
    expect(ruleset()).toEqual(
      expect.arrayContaining([
        'ip6 saddr fd00::/8 ip6 daddr != fd00::1 drop',
        'ip saddr 10.0.0.0/9 tcp dport 3 drop',
        expect.stringMatching(/^meta nfproto (10|ipv6) iifname "lo" reject/),
      ]),
    );
  });

  test.skipIf(!hasNft)('we read what nft wrote', () => {
    const script = `
      table ip kilowire {
        set local { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 172.16.0.1-172.16.0.3, 255.0.0.0/8 } }
        map hostports { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service;
          elements = { 192.0.2.1 . udp . 53 : 10.42.0.2 . 5353 } }
        chain c { type filter hook input priority -5; policy drop;
          counter accept comment "hello"
        }
        chain plain { }
      }`;
    execFileSync('ip', ['netns', 'exec', NODE, 'nft', '-f', '-'], { input: script });
    expect(listTables(socket)).toEqual([T]);
    expect(listElements(socket, T, local).map((element) => element.key)).toEqual([
      ['10.0.0.0/8'],
      ['172.16.0.1-172.16.0.3'],
      ['255.0.0.0/8'],
    ]);
    expect(listElements(socket, T, ports)).toEqual([
      { key: ['192.0.2.1', 'udp', '53'], data: ['10.42.0.2', '5353'], comment: undefined },
    ]);
    expect(listChains(socket, T)).toEqual([
      { name: 'c', base: { type: 'filter', hook: 'input', priority: -5, policy: 'drop' } },
      { name: 'plain' },
    ]);
    expect(listRules(socket, T, 'c')).toMatchObject([
      {
        comment: 'hello',
        counter: { packets: 0, bytes: 0 },
        expressions: [{ name: 'counter' }, { name: 'immediate' }],
      },
    ]);
  });

  test('a transaction with one wrong change does nothing, and the error names that change', () => {
    apply(addTable(T), addChain(T, { name: 'c', base: { type: 'filter', hook: 'input', priority: 0 } }));
    const error = errorOf(() =>
      apply(
        addTable({ family: 'ip', name: 'other' }),
        addRule(T, 'c', [counter()], { comment: 'fine' }),
        addRule(T, 'c', [masquerade()], { comment: 'not in a filter chain' }),
        addRule(T, 'c', [counter()], { comment: 'fine too' }),
      ),
    );
    expect(error).toMatchObject({ code: 'ERR_NETLINK', errno: EOPNOTSUPP, request: 'NFT_MSG_NEWRULE' });
    expect(error.message).toContain('rule "not in a filter chain" in chain c of table ip kilowire');
    expect(listTables(socket)).toEqual([T]);
    expect(listRules(socket, T)).toEqual([]);
    expect(errorOf(() => apply(addRule(T, 'nowhere', [accept()]))).errno).toBe(ENOENT);
  });

  test('elements are added, claimed, deleted and flushed', () => {
    const keys = (): readonly (readonly string[])[] => listElements(socket, T, local).map((each) => each.key);
    apply(addTable(T), addSet(T, local), addSet(T, ports));
    apply(addElements(T, local, [{ key: '10.0.0.0/8' }, { key: '11.0.0.0/8' }]));
    apply(addElements(T, local, [{ key: '10.0.0.0/8' }]));
    expect(errorOf(() => apply(addElements(T, local, [{ key: '10.1.0.0/16' }]))).errno).toBe(EEXIST);
    apply(deleteElements(T, local, [{ key: '10.0.0.0/8' }]));
    expect(keys()).toEqual([['11.0.0.0/8']]);
    expect(errorOf(() => apply(deleteElements(T, local, [{ key: '10.0.0.0/8' }]))).errno).toBe(ENOENT);
    apply(flushSet(T, local));
    expect(keys()).toEqual([]);
    const mine = { key: ['192.0.2.1', 'tcp', 80], data: ['10.42.0.2', 80], comment: 'pod one' };
    apply(claimElements(T, ports, [mine]));
    const taken = errorOf(() => apply(claimElements(T, ports, [{ ...mine, data: ['10.42.0.3', 80] }])));
    expect(taken.errno).toBe(EEXIST);
    expect(taken.message).toContain('set hostports');
    expect(listElements(socket, T, ports)).toMatchObject([{ data: ['10.42.0.2', '80'], comment: 'pod one' }]);
  });

  test('twenty thousand prefixes go in at once and come back', () => {
    const elements = Array.from({ length: 20_000 }, (_, at) => ({
      key: `${1 + (at >> 16)}.${(at >> 8) & 255}.${at & 255}.0/24`,
    }));
    const spaced = elements.filter((_, at) => at % 2 === 0);
    apply(addTable(T), addSet(T, local), addElements(T, local, spaced));
    expect(listElements(socket, T, local)).toHaveLength(spaced.length);
  });

  test('rules are replaced and deleted by handle, chains and tables emptied', () => {
    const comments = (): (string | undefined)[] => listRules(socket, T, 'c').map((rule) => rule.comment);
    apply(addTable(T), addChain(T, { name: 'c' }));
    for (const comment of ['one', 'two', 'three']) apply(addRule(T, 'c', [counter()], { comment }));
    const [one, two] = listRules(socket, T, 'c');
    apply(
      deleteRule(T, 'c', one?.handle ?? 0),
      addRule(T, 'c', [drop()], { comment: 'new', replace: two?.handle ?? 0 }),
    );
    expect(comments()).toEqual(['new', 'three']);
    apply(flushChain(T, 'c'));
    expect(comments()).toEqual([]);
    apply(recreateTable(T));
    expect(listChains(socket, T)).toEqual([]);
    apply(removeTable(T));
    apply(removeTable(T));
    expect(listTables(socket)).toEqual([]);
  });

  test('packets: masquerade outside the set, not inside, and a host port reached from outside', async () => {
    const { spawn } = await import('node:child_process');
    const echo = (namespace: string, ...at: readonly string[]) =>
      spawn('ip', ['netns', 'exec', namespace, process.execPath, '-e', ECHO, '--', ...at], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
    const servers = [echo(OUTSIDE, '7000'), echo(POD, '8000', '8001')];
    const send = (from: string, address: string, port: number): string =>
      run(from, process.execPath, '-e', SEND, '--', address, String(port)).stdout.trim();
    try {
      await Promise.all(
        servers.map((server) => new Promise((resolve) => server.stdout.once('data', resolve))),
      );
      apply(
        addTable(T),
        addSet(T, local),
        addSet(T, ports),
        addChain(T, { name: 'post', base: { type: 'nat', hook: 'postrouting', priority: 100 } }),
        addChain(T, { name: 'pre', base: { type: 'nat', hook: 'prerouting', priority: -100 } }),
        addRule(T, 'post', [ip.saddr.is('10.42.0.0/16'), ip.daddr.notIn('local'), counter(), masquerade()]),
        addRule(T, 'pre', [
          fib.daddrType.is('local'),
          dnat({ key: concat(ip.daddr, metaKey.l4proto, th.dport), map: 'hostports', port: true }),
        ]),
        addElements(T, ports, [
          { key: ['192.0.2.1', 'udp', 53], data: ['10.42.0.2', 8000] },
          { key: ['192.0.2.1', 'udp', 54], data: ['10.42.0.2', 8001] },
        ]),
      );
      expect(send(POD, '192.0.2.2', 7000)).toBe('7000 saw 192.0.2.1');
      expect(listRules(socket, T, 'post')[0]?.counter?.packets).toBe(1);
      expect(send(OUTSIDE, '192.0.2.1', 53)).toBe('8000 saw 192.0.2.2');
      expect(send(OUTSIDE, '192.0.2.1', 54)).toBe('8001 saw 192.0.2.2');
      // Nobody is behind this port, and no way leads back from outside to the pod without masquerade.
      expect(send(OUTSIDE, '192.0.2.1', 55)).toBe('silence');
      apply(addElements(T, local, [{ key: '192.0.2.0/24' }]));
      expect(send(POD, '192.0.2.2', 7000)).toBe('silence');
      expect(listRules(socket, T, 'post')[0]?.counter?.packets).toBe(1);
    } finally {
      for (const server of servers) server.kill();
    }
  });
});
