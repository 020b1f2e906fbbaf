/**
 * The four worked examples of Kilo's reference behaviour, line by line.
 * Expected values were produced by Kilo's own code for these inputs.
 * @module
 */

import { describe, expect, test } from 'vitest';
import { formatAddress, formatCidr } from '../../../src/noise/ip.ts';
import type { Encapsulation } from '../../../src/routing/links.ts';
import type { Granularity } from '../../../src/routing/node.ts';
import { desiredRoutes, kiloRoutes } from '../../../src/routing/routes.ts';
import type { Topology } from '../../../src/routing/topology.ts';
import { fourClouds, hybrid, lines, lookFrom, planText, twoRegions } from './clusters.ts';

const links = { wireguard: 'kilo0', private: 'eth0', tunnel: 'tunl0' };

/** Kilo's list and the one a kernel gets must both be it: none of these inputs holds a conflict. */
const expectPlan = (topology: Topology, expected: string, encapsulation: Encapsulation = 'always') => {
  expect(planText(kiloRoutes(topology, { links, encapsulation }))).toEqual(lines(expected));
  expect(planText(desiredRoutes(topology, { links, encapsulation }))).toEqual(lines(expected));
};

const addresses = (topology: Topology): string[] =>
  topology.segments.map((segment) => `${segment.location} ${formatAddress(segment.wireguardIP)}`);

const allowed = (topology: Topology, location: string): string => {
  const segment = topology.segments.find((candidate) => candidate.location === location);
  return [...(segment?.allowedIPs ?? []), ...(segment?.allowedLocationIPs ?? [])].map(formatCidr).join(', ');
};

describe('one node in each of four clouds', () => {
  const routesOf = (source: string, peers: [string, string, string][]): string =>
    peers
      .flatMap(([gateway, pods, address]) => [
        `${pods} via ${gateway} dev kilo0 src ${source} onlink`,
        `${address} via ${gateway} dev kilo0 src ${source} onlink`,
      ])
      .join('\n');
  const ali: [string, string, string] = ['10.4.0.1', '10.42.0.0/24', '172.16.0.4/32'];
  const aws: [string, string, string] = ['10.4.0.2', '10.42.1.0/24', '10.0.1.10/32'];
  const az: [string, string, string] = ['10.4.0.3', '10.42.2.0/24', '10.1.0.4/32'];
  const gcp: [string, string, string] = ['10.4.0.4', '10.42.3.0/24', '10.132.0.2/32'];

  test('a full mesh gives every node an address and every other node three networks', () => {
    const topology = lookFrom('ali-1', 'full', fourClouds);
    expect(addresses(topology)).toEqual([
      'node:ali-1 10.4.0.1',
      'node:aws-1 10.4.0.2',
      'node:az-1 10.4.0.3',
      'node:gcp-1 10.4.0.4',
    ]);
    expect(allowed(topology, 'node:ali-1')).toBe('10.42.0.0/24, 172.16.0.4/32, 10.4.0.1/32');
    expect(allowed(topology, 'node:aws-1')).toBe('10.42.1.0/24, 10.0.1.10/32, 10.4.0.2/32');
    expect(allowed(topology, 'node:az-1')).toBe('10.42.2.0/24, 10.1.0.4/32, 10.4.0.3/32');
    expect(allowed(topology, 'node:gcp-1')).toBe('10.42.3.0/24, 10.132.0.2/32, 10.4.0.4/32');
    expect(topology.wireguardCIDR && formatCidr(topology.wireguardCIDR)).toBe('10.4.0.1/16');
    expect(topology.problems).toEqual([]);
  });

  test('locations of one node each have the same addresses under other names', () => {
    expect(addresses(lookFrom('ali-1', 'location', fourClouds))).toEqual([
      'location:aliyun 10.4.0.1',
      'location:aws 10.4.0.2',
      'location:azure 10.4.0.3',
      'location:gcp 10.4.0.4',
    ]);
  });

  const granularities: Granularity[] = ['full', 'location', 'cross'];
  test.each(granularities)(
    '%s: each node routes to the other three through WireGuard only',
    (granularity) => {
      expectPlan(
        lookFrom('ali-1', granularity, fourClouds),
        `10.42.1.0/24   via 10.4.0.2 dev kilo0 src 172.16.0.4 onlink
       10.0.1.10/32   via 10.4.0.2 dev kilo0 src 172.16.0.4 onlink
       10.42.2.0/24   via 10.4.0.3 dev kilo0 src 172.16.0.4 onlink
       10.1.0.4/32    via 10.4.0.3 dev kilo0 src 172.16.0.4 onlink
       10.42.3.0/24   via 10.4.0.4 dev kilo0 src 172.16.0.4 onlink
       10.132.0.2/32  via 10.4.0.4 dev kilo0 src 172.16.0.4 onlink`,
      );
      expectPlan(lookFrom('aws-1', granularity, fourClouds), routesOf('10.0.1.10', [ali, az, gcp]));
      expectPlan(lookFrom('az-1', granularity, fourClouds), routesOf('10.1.0.4', [ali, aws, gcp]));
      expectPlan(lookFrom('gcp-1', granularity, fourClouds), routesOf('10.132.0.2', [ali, aws, az]));
    },
  );
});

describe('two regions of three nodes', () => {
  test('the only public endpoint of each region leads it', () => {
    const topology = lookFrom('eu-1', 'location', twoRegions);
    expect(topology.segments.map((segment) => segment.leader.name)).toEqual(['eu-1', 'us-1']);
    expect(addresses(topology)).toEqual(['location:eu 10.4.0.1', 'location:us 10.4.0.2']);
    expect(allowed(topology, 'location:us')).toBe(
      '10.42.3.0/24, 10.2.0.1/32, 10.42.4.0/24, 10.2.0.2/32, 10.42.5.0/24, 10.2.0.3/32, 10.4.0.2/32',
    );
    expect(allowed(topology, 'location:eu')).toBe(
      '10.42.0.0/24, 10.1.0.1/32, 10.42.1.0/24, 10.1.0.2/32, 10.42.2.0/24, 10.1.0.3/32, 10.4.0.1/32',
    );
    expect(topology.wireguardCIDR && formatCidr(topology.wireguardCIDR)).toBe('10.4.0.1/16');
    expect(lookFrom('eu-2', 'location', twoRegions).wireguardCIDR).toBeNull();
  });

  const tunnelsOfEu1 = `
    10.42.3.0/24 via 10.4.0.2 dev kilo0 src 10.1.0.1 onlink
    10.2.0.1/32  via 10.4.0.2 dev kilo0 src 10.1.0.1 onlink
    10.42.4.0/24 via 10.4.0.2 dev kilo0 src 10.1.0.1 onlink
    10.2.0.2/32  via 10.4.0.2 dev kilo0 src 10.1.0.1 onlink
    10.42.5.0/24 via 10.4.0.2 dev kilo0 src 10.1.0.1 onlink
    10.2.0.3/32  via 10.4.0.2 dev kilo0 src 10.1.0.1 onlink`;

  test('a leader wraps packets for its members and tunnels the rest', () => {
    expectPlan(
      lookFrom('eu-1', 'location', twoRegions),
      `10.42.1.0/24 via 10.1.0.2 dev tunl0 src 10.1.0.1 onlink
       10.1.0.2/32  via 10.1.0.2 dev tunl0 src 10.1.0.1 onlink table 1107
       10.42.2.0/24 via 10.1.0.3 dev tunl0 src 10.1.0.1 onlink
       10.1.0.3/32  via 10.1.0.3 dev tunl0 src 10.1.0.1 onlink table 1107
       ${tunnelsOfEu1}
       rule from 10.42.0.0/24 to 10.1.0.2/32 lookup 1107
       rule to 10.1.0.2/32 iif kilo0 lookup 1107
       rule from 10.42.0.0/24 to 10.1.0.3/32 lookup 1107
       rule to 10.1.0.3/32 iif kilo0 lookup 1107`,
    );
  });

  test('the other leader mirrors it', () => {
    expectPlan(
      lookFrom('us-1', 'location', twoRegions),
      `10.42.0.0/24 via 10.4.0.1 dev kilo0 src 10.2.0.1 onlink
       10.1.0.1/32  via 10.4.0.1 dev kilo0 src 10.2.0.1 onlink
       10.42.1.0/24 via 10.4.0.1 dev kilo0 src 10.2.0.1 onlink
       10.1.0.2/32  via 10.4.0.1 dev kilo0 src 10.2.0.1 onlink
       10.42.2.0/24 via 10.4.0.1 dev kilo0 src 10.2.0.1 onlink
       10.1.0.3/32  via 10.4.0.1 dev kilo0 src 10.2.0.1 onlink
       10.42.4.0/24 via 10.2.0.2 dev tunl0 src 10.2.0.1 onlink
       10.2.0.2/32  via 10.2.0.2 dev tunl0 src 10.2.0.1 onlink table 1107
       10.42.5.0/24 via 10.2.0.3 dev tunl0 src 10.2.0.1 onlink
       10.2.0.3/32  via 10.2.0.3 dev tunl0 src 10.2.0.1 onlink table 1107
       rule from 10.42.3.0/24 to 10.2.0.2/32 lookup 1107
       rule to 10.2.0.2/32 iif kilo0 lookup 1107
       rule from 10.42.3.0/24 to 10.2.0.3/32 lookup 1107
       rule to 10.2.0.3/32 iif kilo0 lookup 1107`,
    );
  });

  test('a member hands everything that is not for a neighbour to its leader', () => {
    expectPlan(
      lookFrom('eu-2', 'location', twoRegions),
      `10.4.0.1/32  via 10.1.0.1 dev tunl0 src 10.1.0.2 onlink
       10.42.0.0/24 via 10.1.0.1 dev tunl0 src 10.1.0.2 onlink
       10.1.0.1/32  via 10.1.0.1 dev tunl0 src 10.1.0.2 onlink table 1107
       10.42.2.0/24 via 10.1.0.3 dev tunl0 src 10.1.0.2 onlink
       10.1.0.3/32  via 10.1.0.3 dev tunl0 src 10.1.0.2 onlink table 1107
       10.4.0.2/32  via 10.1.0.1 dev tunl0 src 10.1.0.2 onlink
       10.42.3.0/24 via 10.1.0.1 dev tunl0 src 10.1.0.2 onlink
       10.42.4.0/24 via 10.1.0.1 dev tunl0 src 10.1.0.2 onlink
       10.42.5.0/24 via 10.1.0.1 dev tunl0 src 10.1.0.2 onlink
       10.2.0.1/32  via 10.1.0.1 dev tunl0 src 10.1.0.2 onlink
       10.2.0.2/32  via 10.1.0.1 dev tunl0 src 10.1.0.2 onlink
       10.2.0.3/32  via 10.1.0.1 dev tunl0 src 10.1.0.2 onlink
       rule from 10.42.1.0/24 to 10.1.0.1/32 lookup 1107
       rule from 10.42.1.0/24 to 10.1.0.3/32 lookup 1107`,
    );
  });

  test('the third member does likewise', () => {
    expectPlan(
      lookFrom('eu-3', 'location', twoRegions),
      `10.4.0.1/32  via 10.1.0.1 dev tunl0 src 10.1.0.3 onlink
       10.42.0.0/24 via 10.1.0.1 dev tunl0 src 10.1.0.3 onlink
       10.1.0.1/32  via 10.1.0.1 dev tunl0 src 10.1.0.3 onlink table 1107
       10.42.1.0/24 via 10.1.0.2 dev tunl0 src 10.1.0.3 onlink
       10.1.0.2/32  via 10.1.0.2 dev tunl0 src 10.1.0.3 onlink table 1107
       10.4.0.2/32  via 10.1.0.1 dev tunl0 src 10.1.0.3 onlink
       10.42.3.0/24 via 10.1.0.1 dev tunl0 src 10.1.0.3 onlink
       10.42.4.0/24 via 10.1.0.1 dev tunl0 src 10.1.0.3 onlink
       10.42.5.0/24 via 10.1.0.1 dev tunl0 src 10.1.0.3 onlink
       10.2.0.1/32  via 10.1.0.1 dev tunl0 src 10.1.0.3 onlink
       10.2.0.2/32  via 10.1.0.1 dev tunl0 src 10.1.0.3 onlink
       10.2.0.3/32  via 10.1.0.1 dev tunl0 src 10.1.0.3 onlink
       rule from 10.42.2.0/24 to 10.1.0.1/32 lookup 1107
       rule from 10.42.2.0/24 to 10.1.0.2/32 lookup 1107`,
    );
  });

  const unwrapped: Encapsulation[] = ['crosssubnet', 'never'];
  test.each(unwrapped)('%s: in one subnet nothing is wrapped, and no rule is needed', (encapsulation) => {
    expectPlan(
      lookFrom('eu-1', 'location', twoRegions),
      `10.42.1.0/24 via 10.1.0.2 dev eth0 onlink
       10.42.2.0/24 via 10.1.0.3 dev eth0 onlink
       ${tunnelsOfEu1}`,
      encapsulation,
    );
    expectPlan(
      lookFrom('eu-2', 'location', twoRegions),
      `10.4.0.1/32  via 10.1.0.1 dev eth0 onlink
       10.42.0.0/24 via 10.1.0.1 dev eth0 onlink
       10.42.2.0/24 via 10.1.0.3 dev eth0 onlink
       10.4.0.2/32  via 10.1.0.1 dev eth0 onlink
       10.42.3.0/24 via 10.1.0.1 dev eth0 onlink
       10.42.4.0/24 via 10.1.0.1 dev eth0 onlink
       10.42.5.0/24 via 10.1.0.1 dev eth0 onlink
       10.2.0.1/32  via 10.1.0.1 dev eth0 onlink
       10.2.0.2/32  via 10.1.0.1 dev eth0 onlink
       10.2.0.3/32  via 10.1.0.1 dev eth0 onlink`,
      encapsulation,
    );
  });

  test('a full mesh never routes a private address that is the endpoint in force', () => {
    const topology = lookFrom('eu-2', 'full', twoRegions);
    expect(addresses(topology).at(-1)).toBe('node:us-3 10.4.0.6');
    expectPlan(
      topology,
      `10.42.0.0/24 via 10.4.0.1 dev kilo0 src 10.1.0.2 onlink
       10.1.0.1/32 via 10.4.0.1 dev kilo0 src 10.1.0.2 onlink
       10.42.2.0/24 via 10.4.0.3 dev kilo0 src 10.1.0.2 onlink
       10.42.3.0/24 via 10.4.0.4 dev kilo0 src 10.1.0.2 onlink
       10.2.0.1/32 via 10.4.0.4 dev kilo0 src 10.1.0.2 onlink
       10.42.4.0/24 via 10.4.0.5 dev kilo0 src 10.1.0.2 onlink
       10.42.5.0/24 via 10.4.0.6 dev kilo0 src 10.1.0.2 onlink`,
    );
  });

  const tunnelledFromEu2 = `
    10.42.3.0/24 via 10.4.0.4 dev kilo0 src 10.1.0.2 onlink
    10.2.0.1/32  via 10.4.0.4 dev kilo0 src 10.1.0.2 onlink
    10.42.4.0/24 via 10.4.0.5 dev kilo0 src 10.1.0.2 onlink
    10.42.5.0/24 via 10.4.0.6 dev kilo0 src 10.1.0.2 onlink`;

  test('cross: neighbours are reached on their own network, all others through their own tunnels', () => {
    expectPlan(
      lookFrom('eu-2', 'cross', twoRegions),
      `10.42.0.0/24 via 10.1.0.1 dev tunl0 src 10.1.0.2 onlink
       10.1.0.1/32  via 10.1.0.1 dev tunl0 src 10.1.0.2 onlink table 1107
       10.42.2.0/24 via 10.1.0.3 dev tunl0 src 10.1.0.2 onlink
       10.1.0.3/32  via 10.1.0.3 dev tunl0 src 10.1.0.2 onlink table 1107
       ${tunnelledFromEu2}
       rule from 10.42.1.0/24 to 10.1.0.1/32 lookup 1107
       rule to 10.1.0.1/32 iif kilo0 lookup 1107
       rule from 10.42.1.0/24 to 10.1.0.3/32 lookup 1107
       rule to 10.1.0.3/32 iif kilo0 lookup 1107`,
    );
    expectPlan(
      lookFrom('eu-2', 'cross', twoRegions),
      `10.42.0.0/24 via 10.1.0.1 dev eth0 onlink
       10.42.2.0/24 via 10.1.0.3 dev eth0 onlink
       ${tunnelledFromEu2}`,
      'crosssubnet',
    );
  });
});

describe('a cloud group, a bare-metal node without a private address, a home behind NAT, a laptop', () => {
  test('what has no private address stands alone under its own name', () => {
    const topology = lookFrom('gcp-1', 'location', hybrid);
    expect(addresses(topology)).toEqual([
      'location:gcp 10.4.0.1',
      'location:home 10.4.0.2',
      'node:metal-1 10.4.0.3',
    ]);
    expect(topology.segments[0]?.leader.name).toBe('gcp-1');
    expect(allowed(topology, 'location:home')).toBe(
      '10.42.3.0/24, 192.168.1.10/32, 10.4.0.2/32, 192.168.1.0/24',
    );
    expect(allowed(topology, 'node:metal-1')).toBe('10.42.2.0/24, 10.4.0.3/32');
    expect(topology.problems).toEqual([]);
  });

  test('the leader in the cloud has no route to an address that is the endpoint it dials', () => {
    expectPlan(
      lookFrom('gcp-1', 'location', hybrid),
      `10.42.1.0/24 via 10.132.0.3 dev tunl0 src 10.132.0.2 onlink
       10.132.0.3/32 via 10.132.0.3 dev tunl0 src 10.132.0.2 onlink table 1107
       10.42.3.0/24 via 10.4.0.2 dev kilo0 src 10.132.0.2 onlink
       192.168.1.0/24 via 10.4.0.2 dev kilo0 src 10.132.0.2 onlink
       10.42.2.0/24 via 10.4.0.3 dev kilo0 src 10.132.0.2 onlink
       10.5.0.1/32 dev kilo0 src 10.132.0.2
       rule from 10.42.0.0/24 to 10.132.0.3/32 lookup 1107
       rule to 10.132.0.3/32 iif kilo0 lookup 1107`,
    );
  });

  test('once the home was heard from elsewhere, its private address is routed', () => {
    const [gcp1, ...others] = hybrid.nodes;
    const home = others.find((node) => node.name === 'home-1');
    const heard = { address: Uint8Array.of(93, 184, 216, 34), port: 40000 };
    const discovering = { ...gcp1!, discoveredEndpoints: new Map([[home!.key, heard]]) };
    const topology = lookFrom('gcp-1', 'location', { ...hybrid, nodes: [discovering, ...others] });
    expect(topology.segments[1]?.endpointInForce).toEqual(heard);
    expect(planText(kiloRoutes(topology, { links }))).toContain(
      '192.168.1.10/32 via 10.4.0.2 dev kilo0 src 10.132.0.2 onlink',
    );
  });

  test('the other cloud node sends all of it through its leader', () => {
    expectPlan(
      lookFrom('gcp-2', 'location', hybrid),
      `10.4.0.1/32 via 10.132.0.2 dev tunl0 src 10.132.0.3 onlink
       10.42.0.0/24 via 10.132.0.2 dev tunl0 src 10.132.0.3 onlink
       10.132.0.2/32 via 10.132.0.2 dev tunl0 src 10.132.0.3 onlink table 1107
       10.4.0.2/32 via 10.132.0.2 dev tunl0 src 10.132.0.3 onlink
       10.42.3.0/24 via 10.132.0.2 dev tunl0 src 10.132.0.3 onlink
       192.168.1.10/32 via 10.132.0.2 dev tunl0 src 10.132.0.3 onlink
       192.168.1.0/24 via 10.132.0.2 dev tunl0 src 10.132.0.3 onlink
       10.4.0.3/32 via 10.132.0.2 dev tunl0 src 10.132.0.3 onlink
       10.42.2.0/24 via 10.132.0.2 dev tunl0 src 10.132.0.3 onlink
       10.5.0.1/32 via 10.132.0.2 dev tunl0 src 10.132.0.3 onlink
       rule from 10.42.1.0/24 to 10.132.0.2/32 lookup 1107`,
    );
  });

  test('the home has only tunnels', () => {
    expectPlan(
      lookFrom('home-1', 'location', hybrid),
      `10.42.0.0/24 via 10.4.0.1 dev kilo0 src 192.168.1.10 onlink
       10.132.0.2/32 via 10.4.0.1 dev kilo0 src 192.168.1.10 onlink
       10.42.1.0/24 via 10.4.0.1 dev kilo0 src 192.168.1.10 onlink
       10.132.0.3/32 via 10.4.0.1 dev kilo0 src 192.168.1.10 onlink
       10.42.2.0/24 via 10.4.0.3 dev kilo0 src 192.168.1.10 onlink
       10.5.0.1/32 dev kilo0 src 192.168.1.10`,
    );
  });

  test('a node without a private address sends from whatever address the kernel picks', () => {
    expectPlan(
      lookFrom('metal-1', 'location', hybrid),
      `10.42.0.0/24 via 10.4.0.1 dev kilo0 onlink
       10.132.0.2/32 via 10.4.0.1 dev kilo0 onlink
       10.42.1.0/24 via 10.4.0.1 dev kilo0 onlink
       10.132.0.3/32 via 10.4.0.1 dev kilo0 onlink
       10.42.3.0/24 via 10.4.0.2 dev kilo0 onlink
       192.168.1.0/24 via 10.4.0.2 dev kilo0 onlink
       10.5.0.1/32 dev kilo0`,
    );
  });

  test('in a full mesh the second cloud node has tunnels of its own', () => {
    const topology = lookFrom('gcp-2', 'full', hybrid);
    expect(addresses(topology)).toEqual([
      'node:gcp-1 10.4.0.1',
      'node:gcp-2 10.4.0.2',
      'node:home-1 10.4.0.3',
      'node:metal-1 10.4.0.4',
    ]);
    expectPlan(
      topology,
      `10.42.0.0/24 via 10.4.0.1 dev kilo0 src 10.132.0.3 onlink
       10.132.0.2/32 via 10.4.0.1 dev kilo0 src 10.132.0.3 onlink
       10.42.3.0/24 via 10.4.0.3 dev kilo0 src 10.132.0.3 onlink
       192.168.1.0/24 via 10.4.0.3 dev kilo0 src 10.132.0.3 onlink
       10.42.2.0/24 via 10.4.0.4 dev kilo0 src 10.132.0.3 onlink
       10.5.0.1/32 dev kilo0 src 10.132.0.3`,
    );
  });
});
