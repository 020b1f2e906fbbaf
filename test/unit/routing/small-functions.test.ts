/**
 * The small decisions every agent must make alike: Kilo's own cases.
 * @module
 */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cidr, formatAddress, formatCidr, parseAddress } from '../../../src/noise/ip.ts';
import { isPublic, nthAddress, overlaps, PrefixIndex } from '../../../src/routing/ip-prefix.ts';
import { isKey, keyBytes, keyText } from '../../../src/routing/key-text.ts';
import { electLeader } from '../../../src/routing/leader.ts';
import { isReadyNode, type Node, type ReadyNode, whyNotReady } from '../../../src/routing/node.ts';
import { whyPeerNotReady, withoutRepeatedIPs } from '../../../src/routing/peer.ts';
import { compareText } from '../../../src/routing/text-order.ts';
import { fixture, keyOf, lookFrom, NOW, node, peer } from './clusters.ts';

const address = (text: string): Uint8Array => parseAddress(text)!;

describe('leader election', () => {
  const candidate = (name: string, ip: string, leader = false) =>
    node({ name, endpoint: `${ip}:51820`, podCIDR: '10.42.0.0/24', leader }) as ReadyNode;
  const [privateIP, publicIP] = ['10.0.0.1', '8.8.8.8'];
  const a = candidate('a', privateIP);
  const b = candidate('b', publicIP);
  const c = candidate('c', publicIP);
  const d = candidate('d', privateIP, true);
  const two = candidate('2', publicIP, true);
  const cases: [string, [ReadyNode, ...ReadyNode[]], ReadyNode][] = [
    ['alone', [a], a],
    ['a public endpoint beats the first place', [a, b, c], b],
    ['a volunteer with a public endpoint beats one without', [d, two], two],
    ['a volunteer beats public endpoints', [b, c, two], two],
    ['a volunteer beats the first place even with a private endpoint', [a, d], d],
    ['a public volunteer beats them all', [a, b, c, d, two], two],
  ];
  test.each(cases)('%s', (_, members, leader) => {
    expect(electLeader(members)).toBe(leader);
  });
});

describe('allowed IPs that several Peers declare', () => {
  const withIPs = (name: string, ...hosts: number[]) =>
    peer(
      name,
      hosts.map((host) => `10.0.0.${host}/24`),
    );
  const p1 = withIPs('p1', 1, 2);
  const p2 = withIPs('p2', 1, 3);
  const p3 = withIPs('p3', 2, 3, 1);
  const p4 = withIPs('p4', 3, 3);
  test.each([
    ['none', [], {}],
    ['p1, p2', [p1, p2], { p1: [1, 2], p2: [3] }],
    ['p2, p1', [p2, p1], { p2: [1, 3], p1: [2] }],
    ['p3, p2, p1, p4', [p3, p2, p1, p4], { p3: [2, 3, 1], p2: [], p1: [], p4: [] }],
    ['p4, p1', [p4, p1], { p4: [3], p1: [1, 2] }],
  ])('%s: the first to declare keeps', (_, peers, expected) => {
    const left = withoutRepeatedIPs(peers).map(({ name, allowedIPs }) => [
      name,
      allowedIPs.map(({ address: bytes }) => bytes[3]),
    ]);
    expect(Object.fromEntries(left)).toEqual(expected);
  });
});

describe('ranges offered for a location', () => {
  const offered = (ranges: [string[], string[], string[]]) => {
    const [a, b, c, d] = fixture.nodes.map((member) => ({
      ...member,
      allowedLocationIPs: [] as Node['allowedLocationIPs'],
    }));
    a!.allowedLocationIPs = ranges[0].map(cidr);
    b!.allowedLocationIPs = ranges[1].map(cidr);
    d!.allowedLocationIPs = ranges[2].map(cidr);
    return lookFrom('a', 'location', { ...fixture, nodes: [a!, b!, c!, d!] });
  };
  const x = (host: number): string => `192.168.178.${host}/32`;
  const cases: [string, [string[], string[], string[]], string[][]][] = [
    ['all apart: all stay', [[x(4)], [x(5)], [x(6), x(7)]], [[x(4)], [x(5)], [x(6), x(7)]]],
    [
      'the last claimant keeps',
      [[x(4), x(8)], [x(5)], [x(6), x(7), x(4)]],
      [[x(8)], [x(5)], [x(4), x(6), x(7)]],
    ],
    [
      'a mesh address is never let in',
      [['10.4.0.1/32', x(8)], [x(5)], [x(6), x(7)]],
      [[x(8)], [x(5)], [x(6), x(7)]],
    ],
    [
      'a wider range of the last takes all',
      [[x(8)], [x(5)], ['192.168.178.7/24']],
      [[], [], ['192.168.178.7/24']],
    ],
    ["a range that meets a Peer's is dropped", [['10.5.0.0/16'], [x(5)], []], [[], [x(5)], []]],
    [
      'a range inside a pod CIDR is dropped, one around it stays',
      [['10.2.4.128/25'], ['10.0.0.0/13'], []],
      [[], [], []],
    ],
    ['a wider range whose base is free stays', [[], ['10.0.0.0/14'], []], [[], ['10.0.0.0/14'], []]],
    ['text repeated within a location counts once', [[x(4), x(4)], [], []], [[x(4)], [], []]],
  ];
  test.each(cases)('%s', (_, ranges, expected) => {
    const topology = offered(ranges);
    expect(topology.segments.map((segment) => segment.allowedLocationIPs.map(formatCidr))).toEqual(expected);
    const dropped = ranges.flatMap((list) => [...new Set(list)]).length - expected.flat().length;
    expect(topology.problems.filter(({ code }) => code === 'allowed-location-ip-dropped')).toHaveLength(
      dropped,
    );
  });
});

describe('addresses from the pool', () => {
  test.each([
    ['10.1.0.0/16', 1, '10.1.0.1'],
    ['10.1.0.0/16', 2, '10.1.0.2'],
    ['10.1.0.0/16', 256, '10.1.1.0'],
    ['10.1.0.0/16', 65535, '10.1.255.255'],
    ['10.1.0.0/16', 65536, null],
    ['10.1.0.0/32', 1, null],
    ['10.1.0.0/31', 1, '10.1.0.1'],
    ['10.1.0.0/31', 2, null],
    ['10.4.7.9/16', 3, '10.4.0.3'],
    ['255.255.255.255/32', 1, null],
    ['fd00:4::/64', 70000, 'fd00:4::1:1170'],
  ])('%s: number %d is %s', (pool, n, expected) => {
    const found = nthAddress(cidr(pool), n);
    expect(found && formatAddress(found)).toBe(expected);
  });
});

describe("Kilo's public test", () => {
  test.each(['10.0.0.1', '172.16.0.0', '172.24.135.46', '192.168.0.0', 'fd00::1'])(
    '%s is private',
    (text) => {
      expect(isPublic(address(text))).toBe(false);
    },
  );
  test.each([
    '172.15.255.255',
    '172.160.255.255',
    '100.64.0.1',
    '8.8.8.8',
    'fd68:da49:9da:b27f::',
    '2001::7',
  ])('%s counts as public', (text) => {
    expect(isPublic(address(text))).toBe(true);
  });
});

describe('readiness', () => {
  const whole = node({ name: 'n', endpoint: '10.0.0.1:51820', podCIDR: '10.42.0.0/24' });
  const { endpoint: _, ...noEndpoint } = whole;
  const zeroKey = Buffer.alloc(32).toString('base64');
  test('a node with endpoint, key, pod CIDR and a fresh heart-beat is ready', () => {
    expect(isReadyNode(whole, NOW)).toBe(true);
    expect(isReadyNode(whole, NOW + 59)).toBe(true);
    expect(isReadyNode({ ...whole, endpoint: { dns: 'n.example.com', port: 1 } }, NOW)).toBe(true);
  });
  test.each<[string, Node, number, string]>([
    ['no endpoint', noEndpoint, NOW, 'endpoint'],
    ['an endpoint without an address', { ...whole, endpoint: { port: 51820 } }, NOW, 'endpoint'],
    ['port 0', { ...whole, endpoint: { address: address('10.0.0.1'), port: 0 } }, NOW, 'endpoint'],
    ['no key', { ...whole, key: '' }, NOW, 'key'],
    ['a key of zeros', { ...whole, key: zeroKey }, NOW, 'key'],
    ['no pod CIDR', { ...whole, podCIDRs: [] }, NOW, 'pod CIDR'],
    ['an old heart-beat', whole, NOW + 60, 'heart-beat is 60 s old'],
    ['a heart-beat that is no number', { ...whole, lastSeen: Number.NaN }, NOW, 'heart-beat'],
  ])('%s: not ready, and it says so', (_name, member, now, words) => {
    expect(isReadyNode(member, now)).toBe(false);
    expect(whyNotReady(member, now)).toContain(words);
  });
  test('a Peer needs a key and an allowed IP, but no endpoint', () => {
    expect(whyPeerNotReady(peer('p', ['10.5.0.1/32']))).toBeNull();
    expect(whyPeerNotReady(peer('p', []))).toContain('allowedIPs');
    expect(whyPeerNotReady(peer('p', ['10.5.0.1/32'], { key: zeroKey }))).toContain('publicKey');
  });
});

describe('against naive twins', () => {
  const anyCidr = fc
    .oneof(
      fc.tuple(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.integer({ min: 0, max: 32 })),
      fc.tuple(fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.integer({ min: 0, max: 128 })),
    )
    .map(([bytes, prefix]) => ({ address: bytes, prefix }));
  /** Few bits, so that prefixes often nest. */
  const nearCidr = fc
    .tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 32 }))
    .map(([a, d, prefix]) => ({ address: Uint8Array.of(10, a, 0, d), prefix }));
  const bits = (bytes: Uint8Array): string =>
    [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  const covers = (range: { address: Uint8Array; prefix: number }, bytes: Uint8Array): boolean =>
    range.address.length === bytes.length &&
    bits(bytes).startsWith(bits(range.address).slice(0, range.prefix));

  test("two prefixes meet when one holds the other's base", () => {
    fc.assert(
      fc.property(fc.oneof(anyCidr, nearCidr), fc.oneof(anyCidr, nearCidr), (a, b) => {
        const meets = a.address.length === b.address.length && (covers(a, b.address) || covers(b, a.address));
        expect(overlaps(a, b)).toBe(meets);
        expect(overlaps(b, a)).toBe(meets);
      }),
    );
  });

  test('the index finds the shortest prefix that covers', () => {
    fc.assert(
      fc.property(fc.array(nearCidr, { maxLength: 20 }), nearCidr, (ranges, probe) => {
        const index = new PrefixIndex<number>();
        for (const range of ranges) index.set(range, range.prefix);
        const lengths = ranges
          .filter((range) => range.prefix <= probe.prefix && covers(range, probe.address))
          .map(({ prefix }) => prefix);
        expect(index.covering(probe.address, probe.prefix)).toBe(
          lengths.length === 0 ? undefined : Math.min(...lengths),
        );
      }),
    );
  });

  test('text sorts as its UTF-8 bytes do', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme', maxLength: 6 }),
        fc.string({ unit: 'binary', maxLength: 6 }),
        (a, b) => {
          expect(Math.sign(compareText(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
          expect(compareText(a, a)).toBe(0);
        },
      ),
    );
    expect(compareText('\u{1f600}', '\uffee')).toBeGreaterThan(0);
  });

  test('a key goes to text and back', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
        const text = Buffer.from(bytes).toString('base64');
        expect(keyText(bytes)).toBe(text);
        expect(keyBytes(text)).toEqual(bytes);
        expect(isKey(text)).toBe(bytes.some((byte) => byte !== 0));
      }),
    );
    expect(isKey(keyOf('a').slice(1))).toBe(false);
  });
});
