/**
 * Arbitrary clusters for property tests: sound ones, where nothing contests anything, and careless ones.
 * @module
 */

import fc from 'fast-check';
import { cidr } from '../../../src/noise/ip.ts';
import type { Node } from '../../../src/routing/node.ts';
import type { Peer } from '../../../src/routing/peer.ts';
import { keyOf, NOW, node, peer } from './clusters.ts';

export interface Cluster {
  readonly nodes: Node[];
  readonly peers: Peer[];
}

const locations = fc.constantFrom('', 'eu', 'us', 'a b', '雲');
const granularities = fc.constantFrom('location' as const, 'full' as const, 'cross' as const);

/** Addresses, keys and pod CIDRs differ, so nothing is contested. */
export const soundCluster: fc.Arbitrary<Cluster> = fc
  .record({
    nodes: fc.array(
      fc.record({
        location: locations,
        publicEndpoint: fc.boolean(),
        privateIP: fc.boolean(),
        leader: fc.boolean(),
        keepalive: fc.constantFrom(0, 25),
        prefix: fc.constantFrom(16, 24, 32),
        offers: fc.boolean(),
      }),
      { minLength: 1, maxLength: 12 },
    ),
    peers: fc.array(fc.boolean(), { maxLength: 4 }),
  })
  .map(({ nodes, peers }) => ({
    nodes: nodes.map((shape, i) =>
      node({
        name: `n${i}`,
        location: shape.location,
        endpoint: shape.publicEndpoint ? `203.0.113.${i}:51820` : `172.16.${i}.1:51820`,
        podCIDR: `10.42.${i}.0/24`,
        leader: shape.leader,
        keepalive: shape.keepalive,
        allowedLocationIPs: shape.offers ? [`192.168.${i}.0/24`] : [],
        ...(shape.privateIP ? { internalIP: `172.16.${i}.1/${shape.prefix}` } : {}),
      }),
    ),
    peers: peers.map((dialled, i) =>
      peer(`p${i}`, [`10.5.${i}.1/32`], dialled ? { endpoint: { dns: `p${i}.example.com`, port: 1 } } : {}),
    ),
  }));

const smallCidr = fc
  .tuple(
    fc.constantFrom('10.42.0.0', '10.42.0.7', '10.4.0.1', '172.16.0.1', '10.5.0.1', '0.0.0.0', 'fd00::1'),
    fc.integer({ min: 0, max: 32 }),
  )
  .map(([base, prefix]) => cidr(`${base}/${prefix}`));
const smallKey = fc.oneof(
  { arbitrary: fc.constantFrom(...['k1', 'k2', 'k3', 'k4', 'k5', 'k6', 'k7'].map(keyOf)), weight: 8 },
  fc.constantFrom('', 'A'.repeat(44)),
);
const smallEndpoint = fc.oneof(
  {
    arbitrary: fc.constantFrom(
      { address: Uint8Array.of(8, 8, 8, 8), port: 51820 },
      { address: Uint8Array.of(172, 16, 0, 1), port: 51820 },
      { dns: 'nowhere.invalid', port: 51820 },
    ),
    weight: 8,
  },
  fc.constantFrom({ port: 51820 }, { address: Uint8Array.of(10, 0, 0, 1), port: 0 }),
);

/** Names, keys, ranges and times collide and are wrong as they please. */
export const carelessCluster: fc.Arbitrary<Cluster> = fc.record({
  nodes: fc.array(
    fc.record(
      {
        name: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
        location: fc.oneof(locations, fc.string({ maxLength: 5 })),
        key: smallKey,
        endpoint: smallEndpoint,
        internalIP: smallCidr,
        podCIDRs: fc.array(smallCidr, { maxLength: 2, size: 'max' }),
        leader: fc.boolean(),
        persistentKeepalive: fc.constantFrom(0, 25),
        allowedLocationIPs: fc.array(smallCidr, { maxLength: 3 }),
        discoveredEndpoints: fc
          .array(fc.tuple(smallKey, smallEndpoint), { maxLength: 2 })
          .map((entries) => new Map(entries)),
        lastSeen: fc.oneof({ arbitrary: fc.constant(NOW), weight: 9 }, fc.constant(NOW - 61)),
      },
      {
        requiredKeys: [
          'name',
          'location',
          'key',
          'podCIDRs',
          'leader',
          'persistentKeepalive',
          'allowedLocationIPs',
          'discoveredEndpoints',
          'lastSeen',
        ],
      },
    ),
    { maxLength: 8, size: 'max' },
  ),
  peers: fc.array(
    fc.record(
      {
        name: fc.constantFrom('p', 'q', 'a'),
        key: smallKey,
        endpoint: smallEndpoint,
        persistentKeepalive: fc.constantFrom(0, 25),
        allowedIPs: fc.array(smallCidr, { maxLength: 3 }),
      },
      { requiredKeys: ['name', 'key', 'persistentKeepalive', 'allowedIPs'] },
    ),
    { maxLength: 4 },
  ),
});

export const anyGranularity = granularities;
