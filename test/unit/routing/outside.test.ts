/**
 * What a host outside the cluster is given: the routes `kgctl connect` makes, and none that would cut it off.
 * @module
 */
import { describe, expect, test } from 'vitest';
import { formatCidr, formatEndpoint, parseAddress } from '../../../src/noise/ip.ts';
import { keyText } from '../../../src/routing/key-text.ts';
import { type OutsideOptions, outsidePlan } from '../../../src/routing/outside.ts';
import { routeWords } from '../../../src/routing/route-words.ts';
import { hybrid, keyOf, lookFrom, peer, twoRegions } from './clusters.ts';

const own = (...texts: string[]): OutsideOptions => ({
  device: 'kilo0',
  own: texts.map((text) => parseAddress(text) ?? new Uint8Array(4)),
});

describe('a host outside', () => {
  const cluster = {
    ...twoRegions,
    peers: [
      peer('laptop', ['10.5.0.77/32'], { persistentKeepalive: 10, presharedKey: keyOf('secret') }),
      peer('office', ['10.5.0.2/32', '172.20.0.0/16']),
    ],
  };

  test('has a route to every pod range and node by the segment, to segments and other Peers without gateway', () => {
    const plan = outsidePlan(lookFrom('eu-1', 'location', cluster), 'laptop', own());
    expect(plan.routes.map(routeWords)).toEqual([
      '10.42.0.0/24 via 10.4.0.1 dev kilo0 onlink',
      '10.1.0.1/32 via 10.4.0.1 dev kilo0 onlink',
      '10.42.1.0/24 via 10.4.0.1 dev kilo0 onlink',
      '10.1.0.2/32 via 10.4.0.1 dev kilo0 onlink',
      '10.42.2.0/24 via 10.4.0.1 dev kilo0 onlink',
      '10.1.0.3/32 via 10.4.0.1 dev kilo0 onlink',
      '10.4.0.1/32 dev kilo0',
      '10.42.3.0/24 via 10.4.0.2 dev kilo0 onlink',
      '10.2.0.1/32 via 10.4.0.2 dev kilo0 onlink',
      '10.42.4.0/24 via 10.4.0.2 dev kilo0 onlink',
      '10.2.0.2/32 via 10.4.0.2 dev kilo0 onlink',
      '10.42.5.0/24 via 10.4.0.2 dev kilo0 onlink',
      '10.2.0.3/32 via 10.4.0.2 dev kilo0 onlink',
      '10.4.0.2/32 dev kilo0',
      '10.5.0.2/32 dev kilo0',
      '172.20.0.0/16 dev kilo0',
    ]);
    expect(plan.leftOut).toEqual([]);
  });

  test('has a tunnel with every segment, also the first, and its secret with nodes only', () => {
    const { peers } = outsidePlan(lookFrom('eu-1', 'location', cluster), 'laptop', own());
    const secret = keyOf('secret');
    expect(
      peers.map(({ publicKey, presharedKey, endpoint, persistentKeepalive }) => [
        keyText(publicKey),
        presharedKey === undefined ? null : keyText(presharedKey),
        endpoint === undefined ? null : formatEndpoint(endpoint),
        persistentKeepalive,
      ]),
    ).toEqual([
      [keyOf('eu-1'), secret, '203.0.113.1:51820', 10],
      [keyOf('us-1'), secret, '198.51.100.1:51820', 10],
      [keyOf('office'), null, null, 10],
    ]);
  });

  test('does not lead the way to a node that is dialled there into the tunnel', () => {
    const { routes, peers } = outsidePlan(lookFrom('gcp-1', 'location', hybrid), 'laptop', own());
    const words = routes.map(routeWords);
    expect(words).toContain('10.42.3.0/24 via 10.4.0.2 dev kilo0 onlink');
    expect(words.filter((line) => line.startsWith('192.168.1.10/32'))).toEqual([]);
    expect(peers[1]?.allowedIps.map(formatCidr)).toContain('192.168.1.10/32');
  });

  test.each([
    [
      'its own network',
      ['192.168.1.55'],
      "192.168.1.0/24 is not routed into the mesh: this host's own network lies in it.",
    ],
    [
      'the end of a tunnel',
      [],
      '192.168.1.0/24 is not routed into the mesh: the end of a tunnel lies in it.',
    ],
  ])('does not route a range with %s in it', (_, addresses, sentence) => {
    const { routes, leftOut } = outsidePlan(
      lookFrom('gcp-1', 'location', hybrid),
      'laptop',
      own(...addresses),
    );
    expect(leftOut).toEqual([sentence]);
    expect(routes.map(routeWords).filter((line) => line.startsWith('192.168.1.0/24'))).toEqual([]);
  });

  test('must be a Peer', () => {
    expect(() => outsidePlan(lookFrom('gcp-1', 'location', hybrid), 'phone', own())).toThrow(
      'did not find any peer named "phone" in the cluster',
    );
  });
});
