/**
 * `explain`: names become addresses, and the way of a packet becomes words.
 * @module
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hybrid, keyOf } from '../routing/clusters.ts';
import { AdminWorld } from './admin-world.ts';

const pod = (name: string, node: string | undefined, ip: string | undefined, hostNetwork = false) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default', uid: name },
  spec: { ...(node === undefined ? {} : { nodeName: node }), ...(hostNetwork ? { hostNetwork } : {}) },
  status: { phase: 'Pending', ...(ip === undefined ? {} : { podIP: ip }) },
});

describe('explain', () => {
  const world = new AdminWorld();
  beforeAll(async () => {
    await world.start();
    world.fill(hybrid);
    for (const each of [
      pod('web-0', 'gcp-2', '10.42.1.9'),
      pod('agent', 'gcp-2', '10.132.0.3', true),
      pod('new', 'gcp-2', undefined),
      pod('newer', undefined, undefined),
    ])
      world.api.store.put('pods', `default/${each.metadata.name}`, each);
  });
  afterAll(() => world.end());

  it('tells the way there and back in words', async () => {
    const { status, stdout } = await world.run('explain', 'default/web-0', 'laptop');
    expect(status).toBe(0);
    expect(stdout).toBe(`From pod default/web-0 to peer laptop: 2 hops, packets up to 1420 bytes
  gcp-2 → gcp-1  wrapped in IPIP, not encrypted
      route       10.5.0.1/32 via 10.132.0.2 dev tunl0 src 10.132.0.3 onlink
      MTU         1480 on tunl0
  gcp-1 → laptop  through WireGuard
      route       10.5.0.1/32 dev kilo0 src 10.132.0.2
      allowed IP  10.5.0.1/32
      key         ${keyOf('laptop')}
      endpoint    none until it calls
      MTU         1420 on kilo0
  It reaches peer laptop.

And back: 2 hops, packets up to 1420 bytes
  laptop → gcp-1  through WireGuard
      allowed IP  10.42.1.0/24
      key         ${keyOf('gcp-1')}
      endpoint    34.90.0.3:51820
      MTU         1420 on WireGuard
  gcp-1 → gcp-2  wrapped in IPIP, not encrypted
      route       10.42.1.0/24 via 10.132.0.3 dev tunl0 src 10.132.0.2 onlink
      MTU         1480 on tunl0
  It reaches the pod on gcp-2, over kube-bridge.
`);
  });

  it.each([
    ['web-0', 'pod default/web-0'],
    ['agent', 'host-network pod default/agent'],
    ['gcp-2', 'node gcp-2'],
    ['laptop', 'peer laptop'],
    ['10.42.1.9', '10.42.1.9 (a pod of node gcp-2)'],
    ['10.132.0.3', '10.132.0.3 (node gcp-2)'],
    ['10.4.0.2', '10.4.0.2 (the mesh address of home-1)'],
    ['10.5.0.1', '10.5.0.1 (peer laptop)'],
    ['192.168.1.77', '192.168.1.77 (behind location:home)'],
    ['8.8.8.8', '8.8.8.8 (outside the mesh)'],
  ])('knows what %s is', async (name, words) => {
    const { stdout } = await world.run('explain', name, 'metal-1', '-o', 'json');
    expect(JSON.parse(stdout).from).toBe(words);
  });

  it('is JSON for programs', async () => {
    const { stdout } = await world.run('explain', 'gcp-1', 'metal-1', '-o', 'json');
    const { there } = JSON.parse(stdout);
    // A node without a private address is meant by the one it has in the mesh.
    expect(there).toMatchObject({ delivered: true, mtu: 1420, end: 'reaches metal-1 itself' });
    expect(there.hops).toEqual([
      {
        at: 'gcp-1',
        to: 'metal-1',
        by: 'tunnel',
        encrypted: true,
        device: 'kilo0',
        rule: null,
        route: '10.4.0.0/16 dev kilo0 src 10.4.0.1',
        publicKey: keyOf('metal-1'),
        endpoint: '198.51.100.7:51820',
        allowedIP: '10.4.0.3/32',
        source: '10.132.0.2',
        masqueradedAs: null,
        mtu: 1420,
      },
    ]);
  });

  it('fails when a packet does not arrive', async () => {
    const { status, stdout } = await world.run('explain', 'web-0', '8.8.8.8');
    expect(status).toBe(1);
    expect(stdout).toContain(
      "  It leaves gcp-2 by a route that is none of the mesh's, with its address as source and not encrypted by it.\n",
    );
    expect(stdout).toContain(
      "  It 8.8.8.8 (outside the mesh) is no part of the mesh: what it sends is not the mesh's to carry.\n",
    );
  });

  it.each([
    [
      ['explain', 'web-9', 'gcp-1'],
      1,
      'Nothing is called "default/web-9": give a pod (namespace/name), a node, a Peer or an address.',
    ],
    [['explain', 'new', 'gcp-1'], 1, 'The pod default/new has no address yet (Pending).'],
    [['explain', 'newer', 'gcp-1'], 1, 'The pod default/newer has no node yet (Pending).'],
    [['explain', 'web-0'], 2, "Missing required argument 'b'."],
    [['explain', 'a', 'b', '--encapsulate', 'often'], 2, 'Allowed choices are never, crosssubnet, always.'],
    [['explain', 'a', 'b', '--underlay-mtu', '9'], 2, 'It must be a number from 576 to 65535.'],
    [['explain', 'a', 'b', '--service-cidr', '10.43'], 2, '"10.43" is not an address range'],
  ])('answers %j with status %i and one sentence', async (args, code, sentence) => {
    const { status, stdout, stderr } = await world.run(...args);
    expect([status, stdout]).toEqual([code, '']);
    expect(stderr).toContain(sentence);
    expect(stderr.trimEnd()).not.toContain('\n');
  });
});
