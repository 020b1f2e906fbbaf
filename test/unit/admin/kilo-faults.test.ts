/**
 * The faults of kgctl and of Kilo's webhook that these commands must not have, by their numbers in the list of docs/kilo-faults.md.
 * @module
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { snapshotOf } from '../../../src/admin/cluster-snapshot.ts';
import { meshOf, topologyFrom } from '../../../src/admin/mesh.ts';
import { judge } from '../../../src/admin/webhook/admission.ts';
import { HostNames } from '../../../src/agent/host-names.ts';
import type { NodeResource } from '../../../src/agent/kubernetes/resources.ts';
import { parseAddress } from '../../../src/noise/ip.ts';
import { showPeer } from '../../../src/routing/peer-config.ts';
import { keyOf, lookFrom, node, peer, twoRegions } from '../routing/clusters.ts';
import { AdminWorld, nodeResource, nowSeconds } from './admin-world.ts';

describe("faults of Kilo's commands", () => {
  const world = new AdminWorld();
  beforeAll(async () => {
    await world.start();
    world.fill({
      ...twoRegions,
      peers: [
        peer('laptop', ['10.5.0.1/32']),
        peer('office', ['10.5.0.2/32'], {
          endpoint: { dns: 'vpn.example.com', port: 51820 },
          persistentKeepalive: 10,
        }),
      ],
    });
  });
  afterAll(() => world.end());

  it('kilo §10.4.10: a Peer printed as a manifest is one the cluster would accept again', async () => {
    const printed = async (name: string) =>
      parse((await world.run('showconf', 'peer', name, '--as-peer', '-o', 'yaml')).stdout);
    // No endpoint is no endpoint, a name is a name, ten seconds are 10.
    expect((await printed('laptop')).spec).toEqual({
      allowedIPs: ['10.5.0.1/32'],
      publicKey: keyOf('laptop'),
    });
    expect((await printed('office')).spec).toMatchObject({
      endpoint: { dnsOrIP: { dns: 'vpn.example.com' }, port: 51820 },
      persistentKeepalive: 10,
    });
    const request = { uid: 'u', operation: 'CREATE', object: await printed('office') };
    const review = { kind: 'AdmissionReview', apiVersion: 'admission.k8s.io/v1', request };
    expect(judge('application/json', JSON.stringify(review)).allowed).toBe(true);
  });

  it('kilo §10.4.11: a Node without an endpoint does not keep a host from joining', () => {
    const bare = node({ name: 'windows-1', location: 'eu', podCIDR: '10.42.9.0/24' });
    const cluster = { nodes: [...twoRegions.nodes, bare], peers: [peer('host', ['10.5.0.7/32'])] };
    const text = showPeer(lookFrom('eu-1', 'location', cluster), 'host');
    expect(text.match(/^Endpoint = .*/gm)).toEqual([
      'Endpoint = 203.0.113.1:51820',
      'Endpoint = 198.51.100.1:51820',
    ]);
  });

  it('kilo §10.4.16: a leader that nobody outside can dial is told, with what to do', async () => {
    const { stdout } = await world.run('status', '--mesh-granularity=full', '-o', 'json');
    const { problems } = JSON.parse(stdout) as {
      problems: { code: string; subject: string; remedy: string }[];
    };
    const told = problems.filter(({ code }) => code === 'not-dialable');
    expect(told.map(({ subject }) => subject).toSorted()).toEqual(
      ['eu-2', 'eu-3', 'us-2', 'us-3'].map((name) => `node ${name}`),
    );
    for (const { remedy } of told) expect(remedy).toMatch(/force-endpoint|persistent-keepalive/);
  });

  it('kilo §10.4.18: a public endpoint given by name makes the same leader here as in the agents', async () => {
    const eu = (name: string, endpoint: string, internalIP: string, podCIDR: string) =>
      node({ name, location: 'eu', endpoint, internalIP, podCIDR });
    const nodes = [
      eu('eu-1', '10.1.0.1:51820', '10.1.0.1/24', '10.42.0.0/24'),
      eu('eu-2', 'eu-2.example.com:51820', '10.1.0.2/24', '10.42.1.0/24'),
    ];
    const snapshot = snapshotOf({
      nodes: nodes.map((each) => nodeResource(each) as unknown as NodeResource),
      peers: [],
      now: nowSeconds(),
      topologyLabel: 'topology.kubernetes.io/region',
    });
    const address = parseAddress('203.0.113.2') ?? new Uint8Array(4);
    const names = new HostNames(() => {}, { resolve: async () => address });
    const topology = topologyFrom(await meshOf(snapshot, { granularity: 'location', names }));
    expect(topology.segment.leader.name).toBe('eu-2');
  });

  it.each([
    [{ allowedIPs: [], publicKey: keyOf('x') }, 'at least one allowed IP must be given'],
    [
      { allowedIPs: ['10.5.0.1/32'], publicKey: keyOf('x'), presharedKey: 'short' },
      'WireGuard preshared key is not 32 bytes in base64',
    ],
    [
      { allowedIPs: ['10.5.0.1/32'], publicKey: keyOf('x'), persistentKeepalive: -7 },
      'persistent keepalive must be greater than or equal to zero; got -7',
    ],
  ])('kilo §10.4.19: the webhook refuses %j, in words that can be read', (spec, reason) => {
    const object = { metadata: { name: 'x' }, spec };
    const review = {
      kind: 'AdmissionReview',
      apiVersion: 'admission.k8s.io/v1',
      request: { uid: 'u', operation: 'CREATE', object },
    };
    const { allowed, body } = judge('application/json', JSON.stringify(review));
    expect([allowed, JSON.parse(body).response.status.message]).toEqual([false, reason]);
  });
});
