/**
 * What the lab asks for: the laptop's configuration, the Nodes of its cluster, how pods are made, and what is told.
 * @module
 */
import { describe, expect, it } from 'vitest';
import { withPodCIDRs } from '../../../src/agent/host/cni-conflist.ts';
import { laptopObject, nodeObject } from '../../../src/lab/cluster-api.ts';
import { topologyOf, viewCluster } from '../../../src/lab/cluster-view.ts';
import { generateKeyPair } from '../../../src/lab/keys.ts';
import { laptopConfig } from '../../../src/lab/laptop.ts';
import { type LabOptions, nodesOf, planLab } from '../../../src/lab/plan.ts';
import { addressInResult, conflist, networkConfig } from '../../../src/lab/pods.ts';
import { describeLab } from '../../../src/lab/report.ts';
import { describeHandshakes } from '../../../src/lab/status.ts';
import type { DeviceStatus, PeerStatus } from '../../../src/noise/device-config.ts';
import { cidr, formatCidr, formatEndpoint, parseEndpoint } from '../../../src/noise/ip.ts';

const NOW = 1_800_000_000;

const world = (options: LabOptions) => {
  const plan = planLab(options);
  const keys = Object.fromEntries(
    [...nodesOf(plan), plan.laptop].map(({ name }) => [name, generateKeyPair().publicKey]),
  );
  const topology = topologyOf(plan, viewCluster(plan, keys, new Map(), NOW), 'aws-0');
  return { plan, keys, topology };
};

const laptopPeers = (options: LabOptions) => {
  const { plan, topology } = world(options);
  return laptopConfig(plan, topology, new Uint8Array(32)).peers.map(({ endpoint, allowedIps }) => [
    endpoint === undefined ? null : formatEndpoint(endpoint),
    allowedIps.map(formatCidr).join(' '),
  ]);
};

describe('the laptop', () => {
  it('has the four peers of the article, services by way of aws', () => {
    expect(laptopPeers({ nodesPerCloud: 1, granularity: 'full' })).toEqual([
      ['203.0.113.138:51820', '10.4.0.1/32 192.168.40.0/24 10.42.3.0/24'],
      ['203.0.113.42:51820', '10.4.0.2/32 192.168.10.0/24 10.42.0.0/24 10.43.0.0/16'],
      ['203.0.113.74:51820', '10.4.0.3/32 192.168.20.0/24 10.42.1.0/24'],
      ['203.0.113.106:51820', '10.4.0.4/32 192.168.30.0/24 10.42.2.0/24'],
    ]);
  });

  it('reaches both nodes of a location through its leader', () => {
    const peers = laptopPeers({ nodesPerCloud: 2, granularity: 'location' });
    expect(peers).toHaveLength(4);
    expect(peers[1]).toEqual([
      '203.0.113.42:51820',
      '10.4.0.2/32 192.168.10.0/24 10.42.0.0/24 10.42.1.0/24 10.43.0.0/16',
    ]);
  });

  it('does not dial a node behind NAT, and gives its cloud’s network to the other one', () => {
    const peers = laptopPeers({ nodesPerCloud: 2, granularity: 'full' });
    expect(peers).toHaveLength(8);
    expect(peers[2]).toEqual(['203.0.113.42:51820', '10.4.0.3/32 192.168.10.0/24 10.42.0.0/24 10.43.0.0/16']);
    expect(peers[3]).toEqual([null, '10.4.0.4/32 10.42.1.0/24']);
  });
});

const peer = (fill: number, endpoint: string, handshake: number): PeerStatus => ({
  publicKey: new Uint8Array(32).fill(fill),
  ...(endpoint === '' ? {} : { endpoint: parseEndpoint(endpoint) as NonNullable<PeerStatus['endpoint']> }),
  persistentKeepalive: 25,
  allowedIps: [cidr(`10.42.${fill}.0/24`)],
  lastHandshake: { seconds: handshake, nanoseconds: 0 },
  txBytes: 0,
  rxBytes: 0,
});
const device = (...peers: PeerStatus[]): DeviceStatus => ({ peers });

describe('the cluster', () => {
  const plan = planLab({ nodesPerCloud: 2, granularity: 'full' });
  const [first, second] = nodesOf(plan).map(nodeObject);

  it('has Nodes as a user of Kilo annotates them: what is public is forced, what is behind NAT keeps itself open', () => {
    expect(first?.metadata.annotations).toEqual({
      'kilo.squat.ai/location': 'aws',
      'kilo.squat.ai/force-endpoint': '203.0.113.42:51820',
    });
    expect(second?.metadata.annotations).toEqual({
      'kilo.squat.ai/location': 'aws',
      'kilo.squat.ai/persistent-keepalive': '25',
    });
    expect(second?.spec).toEqual({ podCIDR: '10.42.1.0/24', podCIDRs: ['10.42.1.0/24'] });
  });

  it('has the laptop as a Peer that roams', () => {
    expect(laptopObject(plan, 'key').spec).toEqual({
      publicKey: 'key',
      allowedIPs: ['10.0.0.5/32'],
      persistentKeepalive: 25,
    });
  });
});

describe('pods', () => {
  it('are configured as Kilo configures its bridge, with leases of each node’s own', () => {
    const [first, second] = nodesOf(planLab({ nodesPerCloud: 2, granularity: 'full' }));
    if (first === undefined || second === undefined) throw new Error('the plan has nodes');
    const [config, other] = [first, second].map((node) =>
      networkConfig(withPodCIDRs(JSON.stringify(conflist(node, '/run/x')), [cidr(node.podCIDR)]) ?? ''),
    );
    expect(config).toMatchObject({
      name: 'kubernetes',
      type: 'kilowire',
      bridge: 'kube-bridge',
      isDefaultGateway: true,
      forceAddress: true,
      mtu: 1420,
      stateDir: '/run/x/aws-0/cni/state',
      ipam: { type: 'host-local', ranges: [[{ subnet: '10.42.0.0/24' }]] },
    });
    expect(other).toMatchObject({ stateDir: '/run/x/aws-1/cni/state' });
  });

  it('have the first address of the result', () => {
    expect(addressInResult('{"ips":[{"address":"10.42.0.2/24"},{"address":"10.42.0.9/24"}]}')).toBe(
      '10.42.0.2',
    );
    for (const text of ['', 'null', '[]', '{}', '{"ips":[]}', '{"ips":[{"address":4}]}'])
      expect(addressInResult(text)).toBeNull();
  });
});

describe('the table', () => {
  it('tells the ages of handshakes, and what there is none of', () => {
    expect(describeHandshakes(null, NOW)).toBe('no device');
    expect(describeHandshakes(device(), NOW)).toBe('–');
    expect(describeHandshakes(device(peer(1, '', 0)), NOW)).toBe('none yet');
    expect(describeHandshakes(device(peer(1, '', NOW - 3)), NOW)).toBe('3 s');
    expect(describeHandshakes(device(peer(1, '', NOW - 3), peer(2, '', NOW - 40), peer(3, '', 0)), NOW)).toBe(
      '3–40 s, 2 of 3 peers',
    );
  });
});

describe('the report', () => {
  it('has the shape other programs rely on', () => {
    const { plan, keys } = world({ nodesPerCloud: 1, granularity: 'full' });
    const podIPs = Object.fromEntries(
      nodesOf(plan).flatMap(({ pods }) => pods.map(({ name }) => [name, '10.42.0.2'])),
    );
    const report = describeLab(plan, { publicKeys: keys, wireguardIPs: { 'aws-0': '10.4.0.2' }, podIPs });
    expect(Object.keys(report)).toEqual(['clouds', 'clients', 'services', 'checks', 'throughputMbps']);
    expect(report.clouds[0]).toEqual({
      name: 'aws',
      nodes: [
        {
          name: 'aws-0',
          netns: 'kw-aws-0',
          podCIDR: '10.42.0.0/24',
          wireguardIP: '10.4.0.2',
          publicKey: keys['aws-0'],
          endpoint: '203.0.113.42:51820',
          pods: [
            { name: 'aws-0-pod0', netns: 'kw-aws-0-pod0', ip: '10.42.0.2' },
            { name: 'aws-0-pod1', netns: 'kw-aws-0-pod1', ip: '10.42.0.2' },
          ],
        },
      ],
    });
    expect(report.clients).toEqual([{ name: 'laptop', netns: 'kw-laptop', ip: '10.0.0.5' }]);
    expect(report.services[0]).toEqual({
      name: 'web',
      ip: '10.43.0.10',
      port: 80,
      dns: 'web.default.svc.cluster.local',
    });
    expect(JSON.stringify(report)).not.toContain('privateKey');
  });
});
