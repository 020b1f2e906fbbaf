/**
 * What each leader's device is told in the worked examples, and in clusters that are wrong somewhere.
 * @module
 */

import { describe, expect, test } from 'vitest';
import { formatCidr, formatEndpoint } from '../../../src/noise/ip.ts';
import { keyText } from '../../../src/routing/key-text.ts';
import type { Topology } from '../../../src/routing/topology.ts';
import { wireguardConfig } from '../../../src/routing/wireguard-config.ts';
import {
  endpoint,
  fixture,
  fourClouds,
  hybrid,
  keyOf,
  lookFrom,
  node,
  peer,
  twoRegions,
} from './clusters.ts';

/** One line per peer: its name, endpoint, keepalive and allowed IPs. */
const peersOf = (topology: Topology): string[] | null => {
  const config = wireguardConfig(topology);
  if (config === null) return null;
  const names = new Map([
    ...topology.peers.map((member) => [member.key, member.name] as const),
    ...topology.segments.flatMap((segment) =>
      segment.members.map((member) => [member.key, member.name] as const),
    ),
  ]);
  return config.peers.map((section) => {
    const name = names.get(keyText(section.publicKey));
    const dial = section.endpoint === undefined ? 'no endpoint' : formatEndpoint(section.endpoint);
    return `${name} ${dial} keepalive ${section.persistentKeepalive}: ${section.allowedIps.map(formatCidr).join(', ')}`;
  });
};

describe('one node in each of four clouds', () => {
  const ali = 'ali-1 47.88.0.4:51820 keepalive 0: 10.42.0.0/24, 172.16.0.4/32, 10.4.0.1/32';
  const aws = 'aws-1 3.120.0.1:51820 keepalive 0: 10.42.1.0/24, 10.0.1.10/32, 10.4.0.2/32';
  const az = 'az-1 20.50.0.2:51820 keepalive 0: 10.42.2.0/24, 10.1.0.4/32, 10.4.0.3/32';
  const gcp = 'gcp-1 34.90.0.3:51820 keepalive 0: 10.42.3.0/24, 10.132.0.2/32, 10.4.0.4/32';

  test.each(['full', 'location', 'cross'] as const)('%s: everyone has the three others', (granularity) => {
    expect(peersOf(lookFrom('ali-1', granularity, fourClouds))).toEqual([aws, az, gcp]);
    expect(peersOf(lookFrom('aws-1', granularity, fourClouds))).toEqual([ali, az, gcp]);
    expect(peersOf(lookFrom('az-1', granularity, fourClouds))).toEqual([ali, aws, gcp]);
    expect(peersOf(lookFrom('gcp-1', granularity, fourClouds))).toEqual([ali, aws, az]);
  });
});

describe('two regions', () => {
  test('leaders have each other, members have nothing', () => {
    expect(peersOf(lookFrom('eu-1', 'location', twoRegions))).toEqual([
      'us-1 198.51.100.1:51820 keepalive 0: 10.42.3.0/24, 10.2.0.1/32, 10.42.4.0/24, 10.2.0.2/32, 10.42.5.0/24, 10.2.0.3/32, 10.4.0.2/32',
    ]);
    expect(peersOf(lookFrom('us-1', 'location', twoRegions))).toEqual([
      'eu-1 203.0.113.1:51820 keepalive 0: 10.42.0.0/24, 10.1.0.1/32, 10.42.1.0/24, 10.1.0.2/32, 10.42.2.0/24, 10.1.0.3/32, 10.4.0.1/32',
    ]);
    for (const member of ['eu-2', 'eu-3', 'us-2', 'us-3'])
      expect(peersOf(lookFrom(member, 'location', twoRegions))).toBeNull();
  });

  test('in a full mesh everyone has five, with the endpoints each declared', () => {
    expect(peersOf(lookFrom('eu-2', 'full', twoRegions))).toEqual([
      'eu-1 203.0.113.1:51820 keepalive 0: 10.42.0.0/24, 10.1.0.1/32, 10.4.0.1/32',
      'eu-3 10.1.0.3:51820 keepalive 0: 10.42.2.0/24, 10.1.0.3/32, 10.4.0.3/32',
      'us-1 198.51.100.1:51820 keepalive 0: 10.42.3.0/24, 10.2.0.1/32, 10.4.0.4/32',
      'us-2 10.2.0.2:51820 keepalive 0: 10.42.4.0/24, 10.2.0.2/32, 10.4.0.5/32',
      'us-3 10.2.0.3:51820 keepalive 0: 10.42.5.0/24, 10.2.0.3/32, 10.4.0.6/32',
    ]);
  });

  test('in a cross mesh everyone has only the other region', () => {
    const us = [
      'us-1 198.51.100.1:51820 keepalive 0: 10.42.3.0/24, 10.2.0.1/32, 10.4.0.4/32',
      'us-2 10.2.0.2:51820 keepalive 0: 10.42.4.0/24, 10.2.0.2/32, 10.4.0.5/32',
      'us-3 10.2.0.3:51820 keepalive 0: 10.42.5.0/24, 10.2.0.3/32, 10.4.0.6/32',
    ];
    for (const viewer of ['eu-1', 'eu-2', 'eu-3'])
      expect(peersOf(lookFrom(viewer, 'cross', twoRegions))).toEqual(us);
    expect(peersOf(lookFrom('us-3', 'cross', twoRegions))?.map((line) => line.split(' ')[0])).toEqual([
      'eu-1',
      'eu-2',
      'eu-3',
    ]);
  });
});

describe('a cloud group, a bare-metal node, a home behind NAT, a laptop', () => {
  const gcp = (keepalive: number) =>
    `gcp-1 34.90.0.3:51820 keepalive ${keepalive}: 10.42.0.0/24, 10.132.0.2/32, 10.42.1.0/24, 10.132.0.3/32, 10.4.0.1/32`;
  const home =
    'home-1 192.168.1.10:51820 keepalive 0: 10.42.3.0/24, 192.168.1.10/32, 10.4.0.2/32, 192.168.1.0/24';
  const metal = (keepalive: number) =>
    `metal-1 198.51.100.7:51820 keepalive ${keepalive}: 10.42.2.0/24, 10.4.0.3/32`;
  const laptop = (keepalive: number) => `laptop no endpoint keepalive ${keepalive}: 10.5.0.1/32`;

  test("the keepalive of every tunnel is the viewer's own", () => {
    expect(peersOf(lookFrom('gcp-1', 'location', hybrid))).toEqual([home, metal(0), laptop(0)]);
    expect(peersOf(lookFrom('home-1', 'location', hybrid))).toEqual([gcp(25), metal(25), laptop(25)]);
    expect(peersOf(lookFrom('metal-1', 'location', hybrid))).toEqual([gcp(0), home, laptop(0)]);
    expect(peersOf(lookFrom('gcp-2', 'location', hybrid))).toBeNull();
  });

  const heardBy = (name: string, text: string) => ({
    ...hybrid,
    nodes: hybrid.nodes.map((member) =>
      member.name === name
        ? { ...member, discoveredEndpoints: new Map([[keyOf('home-1'), endpoint(text)]]) }
        : member,
    ),
  });
  const dialled = (topology: Topology) =>
    peersOf(topology)
      ?.find((line) => line.startsWith('home-1'))
      ?.split(' ')[1];

  test('a roaming node is dialled where anyone heard it', () => {
    expect(dialled(lookFrom('metal-1', 'location', heardBy('gcp-1', '93.184.216.34:40000')))).toBe(
      '93.184.216.34:40000',
    );
  });

  test('a useless discovery is passed over', () => {
    expect(dialled(lookFrom('metal-1', 'location', heardBy('gcp-1', '0.0.0.0:40000')))).toBe(
      '192.168.1.10:51820',
    );
  });

  test('a neighbour that heard it in a private network is believed after those who heard it from outside', () => {
    const both = {
      ...hybrid,
      nodes: heardBy('gcp-1', '192.168.1.10:51820').nodes.map((member) =>
        member.name === 'gcp-2'
          ? { ...member, discoveredEndpoints: new Map([[keyOf('home-1'), endpoint('93.184.216.34:40000')]]) }
          : member,
      ),
    };
    expect(dialled(lookFrom('metal-1', 'location', both))).toBe('93.184.216.34:40000');
  });

  test("the viewer's own discovery comes first", () => {
    const both = {
      ...hybrid,
      nodes: heardBy('gcp-1', '93.184.216.34:40000').nodes.map((member) =>
        member.name === 'metal-1'
          ? { ...member, discoveredEndpoints: new Map([[keyOf('home-1'), endpoint('93.184.216.34:50000')]]) }
          : member,
      ),
    };
    expect(dialled(lookFrom('metal-1', 'location', both))).toBe('93.184.216.34:50000');
  });

  test('a node without a keepalive stays at its declared endpoint', () => {
    const settled = {
      ...hybrid,
      nodes: heardBy('gcp-1', '93.184.216.34:40000').nodes.map((member) =>
        member.name === 'home-1' ? { ...member, persistentKeepalive: 0 } : member,
      ),
    };
    expect(dialled(lookFrom('metal-1', 'location', settled))).toBe('192.168.1.10:51820');
  });
});

describe('the device itself', () => {
  test("listens on the port of the node's own endpoint, whatever its host", () => {
    const [first, ...others] = fourClouds.nodes;
    const moved = { ...first!, endpoint: { dns: 'ali.example.com', port: 41820 } };
    const config = wireguardConfig(lookFrom('ali-1', 'full', { nodes: [moved, ...others] }));
    expect(config).toMatchObject({ listenPort: 41820 });
    expect(config).not.toHaveProperty('privateKey');
  });

  test('carries the private key it is given and the preshared keys of Peers', () => {
    const privateKey = Uint8Array.from({ length: 32 }, (_, i) => i);
    const phone = peer('phone', ['10.5.0.2/32'], { presharedKey: keyOf('secret') });
    const odd = peer('tablet', ['10.5.0.3/32'], { presharedKey: 'not a key' });
    const config = wireguardConfig(
      lookFrom('ali-1', 'full', { ...fourClouds, peers: [phone, odd] }),
      privateKey,
    );
    expect(config?.privateKey).toBe(privateKey);
    const [phoneSection, tabletSection] = config!.peers.slice(3);
    expect(keyText(phoneSection!.presharedKey!)).toBe(keyOf('secret'));
    expect(tabletSection).not.toHaveProperty('presharedKey');
  });
});

describe('what is wrong in one place', () => {
  test('a name that does not resolve leaves its peer without an endpoint and the others as they were', () => {
    const nodes = fourClouds.nodes.map((member) =>
      member.name === 'az-1' ? { ...member, endpoint: { dns: 'nowhere.invalid', port: 51820 } } : member,
    );
    expect(peersOf(lookFrom('ali-1', 'full', { nodes }))).toEqual([
      'aws-1 3.120.0.1:51820 keepalive 0: 10.42.1.0/24, 10.0.1.10/32, 10.4.0.2/32',
      'az-1 no endpoint keepalive 0: 10.42.2.0/24, 10.1.0.4/32, 10.4.0.3/32',
      'gcp-1 34.90.0.3:51820 keepalive 0: 10.42.3.0/24, 10.132.0.2/32, 10.4.0.4/32',
    ]);
  });

  test('host bits are cleared, a key has one tunnel and a network one holder', () => {
    // Kilo's fixture: the Peer a has the key of node d; all three Peer ranges are one network; 192.168.0.1 is a's and b's.
    expect(peersOf(lookFrom('d', 'location', fixture))).toEqual([
      'a 10.1.0.1:51820 keepalive 0: 10.2.1.0/24, 10.4.0.1/32',
      'b 10.1.0.2:51820 keepalive 0: 10.2.2.0/24, 192.168.0.1/32, 10.2.3.0/24, 192.168.0.2/32, 10.4.0.2/32, 192.168.178.3/32',
      'b 192.168.0.1:51820 keepalive 0: 10.5.0.0/24',
    ]);
  });

  test('a Peer takes nothing that lies inside the mesh', () => {
    const thief = peer('thief', ['10.42.0.0/24', '10.42.1.7/32', '10.4.0.3/32', '10.6.0.1/32']);
    const topology = lookFrom('ali-1', 'full', { ...fourClouds, peers: [thief] });
    expect(peersOf(topology)?.at(-1)).toBe('thief no endpoint keepalive 0: 10.6.0.1/32');
    expect(topology.problems.map(({ code }) => code)).toEqual([
      'peer-ip-inside-mesh',
      'peer-ip-inside-mesh',
      'peer-ip-inside-mesh',
    ]);
  });

  test('two nodes with one key: the first keeps its tunnel', () => {
    const copy = node({
      name: 'zz',
      location: 'z',
      key: keyOf('aws-1'),
      endpoint: '8.8.8.8:51820',
      internalIP: '10.9.0.1/24',
      podCIDR: '10.42.9.0/24',
    });
    const lines = peersOf(lookFrom('ali-1', 'full', { nodes: [...fourClouds.nodes, copy] }));
    expect(lines).toHaveLength(3);
    expect(lines?.[0]).toContain('3.120.0.1:51820');
  });
});
