/**
 * Kilo's own route tables: its fixture, per granularity, viewer, --local and --encapsulate.
 * @module
 */

import { describe, expect, test } from 'vitest';
import { cidr, formatCidr } from '../../../src/noise/ip.ts';
import type { Encapsulation } from '../../../src/routing/links.ts';
import type { Granularity } from '../../../src/routing/node.ts';
import { desiredRoutes, kiloRoutes } from '../../../src/routing/routes.ts';
import { fixture, lines, lookFrom, planText } from './clusters.ts';

const links = { wireguard: 'kilo0', private: 'priv', tunnel: 'tunl' };

type Mode = [local: boolean, encapsulation: Encapsulation];
const everyMode: Mode[] = [
  [false, 'never'],
  [false, 'crosssubnet'],
  [false, 'always'],
  [true, 'never'],
  [true, 'crosssubnet'],
  [true, 'always'],
];

const plan = (name: string, granularity: Granularity, [local, encapsulation]: Mode): string[] =>
  planText(kiloRoutes(lookFrom(name, granularity, fixture), { links, local, encapsulation }));

/** One route per destination, each through the given mesh address. */
const through = (gateway: string, source: string | null, destinations: string): string[] =>
  destinations
    .split(', ')
    .map((to) => `${to} via ${gateway} dev kilo0${source === null ? '' : ` src ${source}`} onlink`);

const peers = (source: string | null): string[] =>
  ['10.5.0.1/24', '10.5.0.2/24', '10.5.0.3/24'].map(
    (to) => `${to} dev kilo0${source === null ? '' : ` src ${source}`}`,
  );

describe('location granularity', () => {
  test.each(everyMode)('a has only tunnels (local %s, %s)', (...mode) => {
    expect(plan('a', 'location', mode)).toEqual([
      ...through(
        '10.4.0.2',
        '192.168.0.1',
        '10.2.2.0/24, 192.168.0.1/32, 10.2.3.0/24, 192.168.0.2/32, 192.168.178.3/32',
      ),
      ...through('10.4.0.3', '192.168.0.1', '10.2.4.0/24'),
      ...peers('192.168.0.1'),
    ]);
  });

  const toLocation1 = through('10.4.0.1', '192.168.0.1', '10.2.1.0/24, 192.168.0.1/32');
  const afterOwn = [...through('10.4.0.3', '192.168.0.1', '10.2.4.0/24'), ...peers('192.168.0.1')];

  test('the leader b leaves its member to others when not local', () => {
    expect(plan('b', 'location', [false, 'never'])).toEqual([...toLocation1, ...afterOwn]);
  });

  test('the leader b reaches its member unwrapped', () => {
    expect(plan('b', 'location', [true, 'never'])).toEqual([
      ...toLocation1,
      '10.2.3.0/24 via 192.168.0.2 dev priv onlink',
      ...afterOwn,
    ]);
  });

  test.each<Mode>([
    [true, 'always'],
    [true, 'crosssubnet'],
  ])('the leader b wraps for its member (local %s, %s)', (...mode) => {
    expect(plan('b', 'location', mode)).toEqual([
      ...toLocation1,
      '10.2.3.0/24 via 192.168.0.2 dev tunl src 192.168.0.1 onlink',
      '192.168.0.2/32 via 192.168.0.2 dev tunl src 192.168.0.1 onlink table 1107',
      ...afterOwn,
      'rule from 10.2.2.0/24 to 192.168.0.2/32 lookup 1107',
      'rule to 192.168.0.2/32 iif kilo0 lookup 1107',
    ]);
  });

  const unwrapped = (destinations: string): string[] =>
    destinations.split(', ').map((to) => `${to} via 192.168.0.1 dev priv onlink`);
  const wrapped = (destinations: string): string[] =>
    destinations.split(', ').map((to) => `${to} via 192.168.0.1 dev tunl src 192.168.0.2 onlink`);
  const restFromC = '10.4.0.3/32, 10.2.4.0/24, 10.5.0.1/24, 10.5.0.2/24, 10.5.0.3/24';

  test('the member c hands all to its leader when not local', () => {
    expect(plan('c', 'location', [false, 'never'])).toEqual(
      unwrapped(`10.4.0.1/32, 10.2.1.0/24, 192.168.0.1/32, 10.4.0.2/32, ${restFromC}`),
    );
  });

  test("the member c also knows its leader's pods", () => {
    expect(plan('c', 'location', [true, 'never'])).toEqual(
      unwrapped(`10.4.0.1/32, 10.2.1.0/24, 192.168.0.1/32, 10.4.0.2/32, 10.2.2.0/24, ${restFromC}`),
    );
  });

  test.each<Mode>([
    [true, 'always'],
    [true, 'crosssubnet'],
  ])('the member c wraps all of it (local %s, %s)', (...mode) => {
    expect(plan('c', 'location', mode)).toEqual([
      ...wrapped('10.4.0.1/32, 10.2.1.0/24, 192.168.0.1/32, 10.4.0.2/32, 10.2.2.0/24'),
      '192.168.0.1/32 via 192.168.0.1 dev tunl src 192.168.0.2 onlink table 1107',
      ...wrapped(restFromC),
      'rule from 10.2.3.0/24 to 192.168.0.1/32 lookup 1107',
    ]);
  });

  test.each(everyMode)('d has no private address to send from (local %s, %s)', (...mode) => {
    expect(plan('d', 'location', mode)).toEqual([
      ...through('10.4.0.1', null, '10.2.1.0/24, 192.168.0.1/32'),
      ...through(
        '10.4.0.2',
        null,
        '10.2.2.0/24, 192.168.0.1/32, 10.2.3.0/24, 192.168.0.2/32, 192.168.178.3/32',
      ),
      ...peers(null),
    ]);
  });
});

describe('full granularity: neither --local nor --encapsulate changes a route', () => {
  const a = (source: string | null) => through('10.4.0.1', source, '10.2.1.0/24, 192.168.0.1/32');
  const b = (source: string | null) =>
    through('10.4.0.2', source, '10.2.2.0/24, 192.168.0.1/32, 192.168.178.3/32');
  const c = (source: string | null) => through('10.4.0.3', source, '10.2.3.0/24, 192.168.0.2/32');
  const d = (source: string | null) => through('10.4.0.4', source, '10.2.4.0/24');

  test.each(everyMode)('from each viewer (local %s, %s)', (...mode) => {
    const [ab, cc] = ['192.168.0.1', '192.168.0.2'];
    expect(plan('a', 'full', mode)).toEqual([...b(ab), ...c(ab), ...d(ab), ...peers(ab)]);
    expect(plan('b', 'full', mode)).toEqual([...a(ab), ...c(ab), ...d(ab), ...peers(ab)]);
    expect(plan('c', 'full', mode)).toEqual([...a(cc), ...b(cc), ...d(cc), ...peers(cc)]);
    expect(plan('d', 'full', mode)).toEqual([...a(null), ...b(null), ...c(null), ...peers(null)]);
  });
});

describe('what a kernel is asked to hold', () => {
  // The fixture is unsound on purpose: a and b have one private address, a Peer has d's key, and host bits are set.
  const kept = (name: string): string[] =>
    planText(desiredRoutes(lookFrom(name, 'location', fixture), { links }));

  test('a contested address is routed once, to the segment whose tunnel accepts it', () => {
    expect(kept('d').filter((line) => line.startsWith('192.168.0.1/32'))).toEqual([
      '192.168.0.1/32 via 10.4.0.2 dev kilo0 onlink',
    ]);
  });

  test('a host never routes its own address away', () => {
    expect(kept('a').filter((line) => line.startsWith('192.168.0.1/32'))).toEqual([]);
  });

  test('a host keeps its own network and the mesh its own link, whatever others offer', () => {
    const [a, ...others] = fixture.nodes;
    const wide = { ...a!, internalIP: cidr('192.168.0.1/24') };
    const [b, c, d] = others;
    const greedy = {
      ...d!,
      allowedLocationIPs: [cidr('192.168.0.0/24'), cidr('10.4.0.0/16'), cidr('192.168.7.0/24')],
    };
    const topology = lookFrom('a', 'location', { ...fixture, nodes: [wide, b!, c!, greedy] });
    const routed = desiredRoutes(topology, { links }).routes.map((route) => formatCidr(route.destination));
    expect(routed).toContain('192.168.7.0/24');
    expect(routed).not.toContain('192.168.0.0/24');
    expect(routed).not.toContain('10.4.0.0/16');
  });

  test('host bits are cleared and the network is routed once', () => {
    expect(kept('b').filter((line) => line.startsWith('10.5.0.'))).toEqual([
      '10.5.0.0/24 dev kilo0 src 192.168.0.1',
    ]);
  });

  test('every conflict is told', () => {
    const { problems } = lookFrom('a', 'location', fixture);
    expect(problems.map(({ code, subject }) => `${code} ${subject.kind} ${subject.name}`)).toEqual(
      lines(`key-repeated peer a
             range-has-host-bits peer a
             range-has-host-bits peer a
             network-claimed-twice peer a
             range-has-host-bits peer b
             network-claimed-twice segment location:1`),
    );
  });
});
