/**
 * What holds in every mesh: input order does not matter, agents agree, a fault stays where it is.
 * @module
 */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cidr, contains, formatAddress, formatCidr, sameCidr } from '../../../src/noise/ip.ts';
import { toDot } from '../../../src/routing/dot.ts';
import { keyText } from '../../../src/routing/key-text.ts';
import { desiredFilter } from '../../../src/routing/nat.ts';
import type { Node } from '../../../src/routing/node.ts';
import { showNode, showPeer } from '../../../src/routing/peer-config.ts';
import { desiredRoutes, kiloRoutes } from '../../../src/routing/routes.ts';
import { RoutingError } from '../../../src/routing/routing-error.ts';
import { toSvg } from '../../../src/routing/svg.ts';
import { buildTopology, type Topology } from '../../../src/routing/topology.ts';
import { wireguardConfig } from '../../../src/routing/wireguard-config.ts';
import { anyGranularity, type Cluster, carelessCluster, soundCluster } from './any-cluster.ts';
import { keyOf, lookFrom, NOW, node, peer, planText, SUBNET } from './clusters.ts';

const links = { wireguard: 'kilo0', private: 'eth0', tunnel: 'tunl0' };

/** What every agent must see alike. */
const shared = (topology: Topology) => ({
  segments: topology.segments.map((segment) => ({
    location: segment.location,
    leader: segment.leader.name,
    members: segment.members.map((member) => member.name),
    wireguardIP: formatAddress(segment.wireguardIP),
    allowedIPs: segment.allowedIPs.map(formatCidr),
    allowedLocationIPs: segment.allowedLocationIPs.map(formatCidr),
    routed: topology.claims.networksOf(segment).map(formatCidr),
  })),
  peers: topology.peers.map((member) => [member.name, member.key, ...member.allowedIPs.map(formatCidr)]),
  problems: topology.problems,
});

const projections = (topology: Topology) => ({
  config: wireguardConfig(topology),
  plan: planText(desiredRoutes(topology, { links })),
  filter: desiredFilter(topology, { forwardRules: true }),
  dot: toDot(topology),
  svg: toSvg(topology),
});

/** The topology, or the code of the reason why there is none. */
const attempt = (
  cluster: Cluster,
  granularity: 'location' | 'full' | 'cross',
  hostname?: string,
): Topology | string => {
  try {
    const options = {
      granularity,
      subnet: cidr('10.4.0.0/29'),
      ...(hostname === undefined ? {} : { hostname }),
    };
    return buildTopology({ ...cluster, now: NOW }, options);
  } catch (error) {
    if (error instanceof RoutingError) return error.code;
    throw error;
  }
};

const shuffled = (cluster: Cluster) =>
  fc
    .tuple(
      fc.shuffledSubarray(cluster.nodes, { minLength: cluster.nodes.length }),
      fc.shuffledSubarray(cluster.peers, { minLength: cluster.peers.length }),
    )
    .map(([nodes, peers]): Cluster => ({ nodes, peers }));

describe('agents agree', () => {
  test('the order in which nodes and Peers are heard of does not matter', () => {
    fc.assert(
      fc.property(
        soundCluster.chain((cluster) => fc.tuple(fc.constant(cluster), shuffled(cluster))),
        anyGranularity,
        ([cluster, other], granularity) => {
          for (const { name } of cluster.nodes) {
            const one = lookFrom(name, granularity, cluster);
            const two = lookFrom(name, granularity, other);
            expect(shared(two)).toEqual(shared(one));
            expect(projections(two)).toEqual(projections(one));
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  test('nor does it in a careless cluster', () => {
    fc.assert(
      fc.property(
        carelessCluster
          // Two records of one name and one key are two opinions of one node; nothing can tell which is newer.
          .map(({ nodes, peers }) => ({ nodes: distinct(nodes), peers: distinct(peers) }))
          .chain((cluster) => fc.tuple(fc.constant(cluster), shuffled(cluster))),
        anyGranularity,
        ([cluster, other], granularity) => {
          const one = attempt(cluster, granularity);
          const two = attempt(other, granularity);
          if (typeof one === 'string' || typeof two === 'string') expect(two).toBe(one);
          else {
            expect(shared(two)).toEqual(shared(one));
            expect(projections(two)).toEqual(projections(one));
          }
        },
      ),
      { numRuns: 150 },
    );
  });

  test('two viewpoints never disagree on segments, leaders, addresses, allowed IPs or faults', () => {
    fc.assert(
      fc.property(fc.oneof(soundCluster, carelessCluster), anyGranularity, (cluster, granularity) => {
        const seen = cluster.nodes
          .map((member) => attempt(cluster, granularity, member.name))
          .filter((topology) => typeof topology !== 'string');
        for (const topology of seen) expect(shared(topology)).toEqual(shared(seen[0]!));
      }),
      { numRuns: 150 },
    );
  });

  test('every node belongs to one segment, which it leads or follows, at an address of its own', () => {
    fc.assert(
      fc.property(soundCluster, anyGranularity, (cluster, granularity) => {
        const { segments } = lookFrom(cluster.nodes[0]!.name, granularity, cluster);
        const members = segments.flatMap((segment) => segment.members.map((member) => member.name));
        expect(members.toSorted()).toEqual(cluster.nodes.map((member) => member.name).toSorted());
        for (const segment of segments) expect(segment.members).toContain(segment.leader);
        expect(new Set(segments.map((segment) => formatAddress(segment.wireguardIP))).size).toBe(
          segments.length,
        );
        for (const segment of segments) expect(contains(SUBNET, segment.wireguardIP)).toBe(true);
      }),
    );
  });
});

const distinct = <Item extends { readonly name: string; readonly key: string }>(
  items: readonly Item[],
): Item[] => [...new Map(items.map((item) => [`${item.name} ${item.key}`, item])).values()];

describe('routes and tunnels agree', () => {
  test('what is routed into kilo0 is what the tunnel behind its gateway accepts', () => {
    fc.assert(
      fc.property(fc.oneof(soundCluster, carelessCluster), anyGranularity, (cluster, granularity) => {
        for (const { name } of cluster.nodes) {
          const topology = attempt(cluster, granularity, name);
          if (typeof topology === 'string') continue;
          const { routes } = desiredRoutes(topology, { links });
          const config = wireguardConfig(topology);
          const tunnelled = routes.filter((route) => route.device === 'kilo0');
          if (config === null) {
            expect(tunnelled).toEqual([]);
            continue;
          }
          for (const route of tunnelled) {
            const holders = config.peers.filter((section) =>
              section.allowedIps.some((range) => sameCidr(range, route.destination)),
            );
            expect(holders).toHaveLength(1);
            if (route.via === undefined) continue;
            const segment = topology.segments.find(
              (candidate) => formatAddress(candidate.wireguardIP) === formatAddress(route.via!),
            );
            expect(keyText(holders[0]!.publicKey)).toBe(segment?.leader.key);
          }
        }
      }),
      { numRuns: 150 },
    );
  });

  test("a kernel can hold the plan: no host bits, one route per table and destination, never the host's own pods", () => {
    fc.assert(
      fc.property(carelessCluster, anyGranularity, fc.boolean(), (cluster, granularity, local) => {
        for (const { name } of cluster.nodes) {
          const topology = attempt(cluster, granularity, name);
          if (typeof topology === 'string') continue;
          const { routes } = desiredRoutes(topology, { links, local });
          const keys = routes.map((route) => `${route.table} ${formatCidr(route.destination)}`);
          expect(new Set(keys).size).toBe(keys.length);
          for (const { destination } of routes) {
            expect(destination.prefix).toBeGreaterThan(0);
            for (let bit = destination.prefix; bit < destination.address.length * 8; bit++)
              expect((destination.address[bit >> 3]! >> (7 - (bit & 7))) & 1).toBe(0);
          }
        }
      }),
      { numRuns: 100 },
    );
  });

  test('in a sound cluster nothing is dropped from what Kilo asks for', () => {
    fc.assert(
      fc.property(soundCluster, anyGranularity, (cluster, granularity) => {
        for (const { name } of cluster.nodes) {
          const topology = lookFrom(name, granularity, cluster);
          expect(topology.problems).toEqual([]);
          expect(planText(desiredRoutes(topology, { links }))).toEqual(
            planText(kiloRoutes(topology, { links })),
          );
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe('a fault stays where it is', () => {
  const strays: [string, (cluster: Cluster) => Cluster][] = [
    [
      'a node with no endpoint',
      ({ nodes, peers }) => ({ nodes: [...nodes, node({ name: 'stray', podCIDR: '10.42.99.0/24' })], peers }),
    ],
    [
      'a node with no pod CIDR',
      ({ nodes, peers }) => ({ nodes: [...nodes, node({ name: 'stray', endpoint: '8.8.8.8:1' })], peers }),
    ],
    ['a node that is silent', ({ nodes, peers }) => ({ nodes: [...nodes, silent], peers })],
    ['a Peer with no allowed IPs', ({ nodes, peers }) => ({ nodes, peers: [...peers, peer('stray', [])] })],
    [
      'a Peer with no key',
      ({ nodes, peers }) => ({ nodes, peers: [...peers, peer('stray', ['10.9.0.0/24'], { key: 'none' })] }),
    ],
  ];
  const silent: Node = {
    ...node({ name: 'stray', endpoint: '8.8.8.8:1', podCIDR: '10.42.99.0/24' }),
    lastSeen: NOW - 60,
  };

  test.each(strays)('%s changes nothing for anyone, and is told', (_, addTo) => {
    fc.assert(
      fc.property(soundCluster, anyGranularity, (cluster, granularity) => {
        for (const { name } of cluster.nodes) {
          const before = lookFrom(name, granularity, cluster);
          const after = lookFrom(name, granularity, addTo(cluster));
          expect({ ...shared(after), problems: [] }).toEqual(shared(before));
          expect(projections(after)).toEqual(projections(before));
          expect(after.problems).toHaveLength(1);
          expect(after.problems[0]?.subject.name).toBe('stray');
        }
      }),
      { numRuns: 20 },
    );
  });

  test('a Peer that claims what others hold changes only its own tunnel', () => {
    fc.assert(
      fc.property(soundCluster, anyGranularity, (cluster, granularity) => {
        const thief = peer('zz-thief', ['10.42.0.0/24', '10.4.0.1/32', '0.0.0.0/0'], { key: keyOf('thief') });
        for (const { name } of cluster.nodes) {
          const calm = {
            ...cluster,
            nodes: cluster.nodes.map((member) => ({ ...member, allowedLocationIPs: [] })),
          };
          const before = lookFrom(name, granularity, calm);
          const after = lookFrom(name, granularity, { ...calm, peers: [...calm.peers, thief] });
          expect(planText(desiredRoutes(after, { links }))).toEqual(
            planText(desiredRoutes(before, { links })),
          );
          expect(wireguardConfig(after)?.peers.slice(0, -1)).toEqual(wireguardConfig(before)?.peers);
          expect(wireguardConfig(after)?.peers.at(-1)?.allowedIps.map(formatCidr) ?? ['0.0.0.0/0']).toEqual([
            '0.0.0.0/0',
          ]);
          expect(desiredFilter(after)).toEqual(desiredFilter(before));
        }
      }),
      { numRuns: 30 },
    );
  });

  test('any cluster whatever gives a mesh or one of the known reasons, and every projection stands', () => {
    fc.assert(
      fc.property(
        carelessCluster,
        anyGranularity,
        fc.constantFrom('a', 'b', 'nobody', undefined),
        (cluster, granularity, hostname) => {
          const topology = attempt(cluster, granularity, hostname);
          if (typeof topology === 'string') {
            expect([
              'ERR_NO_READY_NODE',
              'ERR_UNKNOWN_NODE',
              'ERR_NODE_NOT_READY',
              'ERR_SUBNET_EXHAUSTED',
            ]).toContain(topology);
            return;
          }
          projections(topology);
          showNode(topology);
          for (const { name } of topology.peers) showPeer(topology, name);
          for (const encapsulator of ['ipip', 'flannel', 'cilium'] as const)
            desiredRoutes(topology, { links, encapsulator, local: false });
        },
      ),
      { numRuns: 200 },
    );
  });

  test('when the pool is too small the last segments go without, and the others keep their addresses', () => {
    const nodes = ['a', 'b', 'c', 'd'].map((name, i) =>
      node({ name, endpoint: `203.0.113.${i}:1`, podCIDR: `10.42.${i}.0/24` }),
    );
    const view = { nodes, peers: [], now: NOW };
    const options = { granularity: 'full' as const, subnet: cidr('10.4.0.0/30'), hostname: 'a' };
    const topology = buildTopology(view, options);
    expect(topology.segments.map((segment) => segment.location)).toEqual(['node:a', 'node:b', 'node:c']);
    expect(topology.problems.map(({ code, subject }) => [code, subject.name])).toEqual([
      ['subnet-exhausted', 'node:d'],
    ]);
    expect(() => buildTopology(view, { ...options, hostname: 'd' })).toThrow(
      /10\.4\.0\.0\/30 has no address left/,
    );
  });
});
