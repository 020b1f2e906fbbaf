/**
 * Kilo's own topology tables: its fixture of four nodes and two Peers, seen from each of them.
 * @module
 */

import { describe, expect, test } from 'vitest';
import { formatAddress, formatCidr } from '../../../src/noise/ip.ts';
import { formatMeshEndpoint, type Granularity } from '../../../src/routing/node.ts';
import type { Segment, Topology } from '../../../src/routing/topology.ts';
import { fixture, keyOf, lookFrom, node } from './clusters.ts';

const row = (segment: Segment) => ({
  segment: segment.location,
  hosts: segment.members.map((member) => member.name),
  leader: segment.members.indexOf(segment.leader),
  allowedIPs: segment.allowedIPs.map(formatCidr),
  endpoint: formatMeshEndpoint(segment.leader.endpoint),
  key: segment.leader.key,
  privateIPs: segment.members.flatMap((member) =>
    member.internalIP === undefined ? [] : [formatAddress(member.internalIP.address)],
  ),
  wireguardIP: formatAddress(segment.wireguardIP),
  allowedLocationIPs: segment.allowedLocationIPs.map(formatCidr),
});

const own = (topology: Topology) => ({
  leader: topology.isLeader,
  segment: topology.segment.location,
  privateIP: topology.self.internalIP === undefined ? null : formatCidr(topology.self.internalIP),
  wireguardCIDR: topology.wireguardCIDR === null ? null : formatCidr(topology.wireguardCIDR),
});

const peersOf = (topology: Topology) =>
  topology.peers.map((peer) => [peer.name, ...peer.allowedIPs.map(formatCidr)]);

const byLocation = [
  {
    segment: 'location:1',
    hosts: ['a'],
    leader: 0,
    allowedIPs: ['10.2.1.0/24', '192.168.0.1/32', '10.4.0.1/32'],
    endpoint: '10.1.0.1:51820',
    key: keyOf('key1'),
    privateIPs: ['192.168.0.1'],
    wireguardIP: '10.4.0.1',
    allowedLocationIPs: [],
  },
  {
    segment: 'location:2',
    hosts: ['b', 'c'],
    leader: 0,
    allowedIPs: ['10.2.2.0/24', '192.168.0.1/32', '10.2.3.0/24', '192.168.0.2/32', '10.4.0.2/32'],
    endpoint: '10.1.0.2:51820',
    key: keyOf('key2'),
    privateIPs: ['192.168.0.1', '192.168.0.2'],
    wireguardIP: '10.4.0.2',
    allowedLocationIPs: ['192.168.178.3/32'],
  },
  {
    segment: 'node:d',
    hosts: ['d'],
    leader: 0,
    allowedIPs: ['10.2.4.0/24', '10.4.0.3/32'],
    endpoint: '10.1.0.4:51820',
    key: keyOf('key4'),
    privateIPs: [],
    wireguardIP: '10.4.0.3',
    allowedLocationIPs: [],
  },
];

const byNode = [
  {
    segment: 'node:a',
    hosts: ['a'],
    leader: 0,
    allowedIPs: ['10.2.1.0/24', '192.168.0.1/32', '10.4.0.1/32'],
    endpoint: '10.1.0.1:51820',
    key: keyOf('key1'),
    privateIPs: ['192.168.0.1'],
    wireguardIP: '10.4.0.1',
    allowedLocationIPs: [],
  },
  {
    segment: 'node:b',
    hosts: ['b'],
    leader: 0,
    allowedIPs: ['10.2.2.0/24', '192.168.0.1/32', '10.4.0.2/32'],
    endpoint: '10.1.0.2:51820',
    key: keyOf('key2'),
    privateIPs: ['192.168.0.1'],
    wireguardIP: '10.4.0.2',
    allowedLocationIPs: ['192.168.178.3/32'],
  },
  {
    segment: 'node:c',
    hosts: ['c'],
    leader: 0,
    allowedIPs: ['10.2.3.0/24', '192.168.0.2/32', '10.4.0.3/32'],
    endpoint: '10.1.0.3:51820',
    key: keyOf('key3'),
    privateIPs: ['192.168.0.2'],
    wireguardIP: '10.4.0.3',
    allowedLocationIPs: [],
  },
  {
    segment: 'node:d',
    hosts: ['d'],
    leader: 0,
    allowedIPs: ['10.2.4.0/24', '10.4.0.4/32'],
    endpoint: '10.1.0.4:51820',
    key: keyOf('key4'),
    privateIPs: [],
    wireguardIP: '10.4.0.4',
    allowedLocationIPs: [],
  },
];

describe('location granularity', () => {
  test.each(['a', 'b', 'c', 'd'])('all segments are the same seen from %s', (name) => {
    const topology = lookFrom(name, 'location', fixture);
    expect(topology.segments.map(row)).toEqual(byLocation);
    expect(peersOf(topology)).toEqual([
      ['a', '10.5.0.1/24', '10.5.0.2/24'],
      ['b', '10.5.0.3/24'],
    ]);
  });

  test.each([
    ['a', { leader: true, segment: 'location:1', privateIP: '192.168.0.1/32', wireguardCIDR: '10.4.0.1/16' }],
    ['b', { leader: true, segment: 'location:2', privateIP: '192.168.0.1/32', wireguardCIDR: '10.4.0.2/16' }],
    ['c', { leader: false, segment: 'location:2', privateIP: '192.168.0.2/32', wireguardCIDR: null }],
    ['d', { leader: true, segment: 'node:d', privateIP: null, wireguardCIDR: '10.4.0.3/16' }],
  ])('%s knows its own part', (name, expected) => {
    expect(own(lookFrom(name, 'location', fixture))).toEqual(expected);
  });
});

describe('full granularity', () => {
  test.each([
    ['a', '10.4.0.1/16'],
    ['b', '10.4.0.2/16'],
    ['c', '10.4.0.3/16'],
    ['d', '10.4.0.4/16'],
  ])('%s leads itself at %s, and sees the same four segments', (name, wireguardCIDR) => {
    const topology = lookFrom(name, 'full', fixture);
    expect(topology.segments.map(row)).toEqual(byNode);
    expect(own(topology)).toMatchObject({ leader: true, segment: `node:${name}`, wireguardCIDR });
    expect(peersOf(topology)).toEqual([
      ['a', '10.5.0.1/24', '10.5.0.2/24'],
      ['b', '10.5.0.3/24'],
    ]);
  });
});

describe('cross granularity', () => {
  const locations = (topology: Topology) =>
    topology.segments.map(
      (segment) => `${segment.location} ${segment.nodeLocation} ${formatAddress(segment.wireguardIP)}`,
    );

  test.each(['a', 'b', 'c', 'd'])(
    'segments are those of a full mesh and remember where they stand, seen from %s',
    (name) => {
      const topology = lookFrom(name, 'cross', fixture);
      expect(topology.segments.map(row)).toEqual(byNode);
      expect(locations(topology)).toEqual([
        'node:a location:1 10.4.0.1',
        'node:b location:2 10.4.0.2',
        'node:c location:2 10.4.0.3',
        'node:d location:1 10.4.0.4',
      ]);
    },
  );

  const e = node({
    name: 'e',
    endpoint: '10.1.0.5:51820',
    internalIP: '10.1.0.5/32',
    podCIDR: '10.2.5.0/24',
  });
  const withE = { ...fixture, nodes: [...fixture.nodes, e] };
  const cases: [Granularity, string[]][] = [
    [
      'location',
      [
        'location: location: 10.4.0.1',
        'location:1 location:1 10.4.0.2',
        'location:2 location:2 10.4.0.3',
        'node:d node:d 10.4.0.4',
      ],
    ],
    [
      'cross',
      [
        'node:a location:1 10.4.0.1',
        'node:b location:2 10.4.0.2',
        'node:c location:2 10.4.0.3',
        'node:d location:1 10.4.0.4',
        'node:e location: 10.4.0.5',
      ],
    ],
  ];
  test.each(cases)('%s: the empty location is a location like any other', (granularity, expected) => {
    expect(locations(lookFrom('a', granularity, withE))).toEqual(expected);
  });
});
