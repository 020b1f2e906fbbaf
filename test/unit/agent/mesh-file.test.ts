/**
 * Mesh files: what they say, how bad ones are explained, and how an API's Nodes go over them.
 * @module
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { nodeRecord } from '../../../src/agent/annotations.ts';
import { NODES, type NodeResource } from '../../../src/agent/kubernetes/resources.ts';
import { FileClient } from '../../../src/agent/mesh-file/file-client.ts';
import { fileNodes, overlaid } from '../../../src/agent/mesh-file/file-nodes.ts';
import { holdMesh, takeMesh } from '../../../src/agent/mesh-file/handover.ts';
import { parseMeshFile } from '../../../src/agent/mesh-file/mesh-file.ts';
import { formatAddress, formatCidr } from '../../../src/noise/ip.ts';
import { isReadyNode } from '../../../src/routing/node.ts';
import { buildTopology } from '../../../src/routing/topology.ts';
import { cli } from '../admin/admin-world.ts';

const NOW = 1_795_262_400;
const key = (letter: string): string => `${letter.repeat(42)}E=`;
const folder = mkdtempSync(join(tmpdir(), 'kilowire-mesh-'));
afterAll(() => rmSync(folder, { recursive: true }));

const FULL = `
nodes:
  - name: aws-1
    location: aws
    endpoint: 203.0.113.1
    address: 10.99.0.1
    key: ${key('A')}
  - name: home-1
    endpoint: home.example.org:7
    address: 10.99.0.2
    subnets: [192.168.7.0/24]
    persistentKeepalive: 25
    key: ${key('H')}
  - name: new-1
    endpoint: '[2001:db8::1]:51820'
    address: 10.99.0.3
`;

const view = async (text: string, hostname: string) => {
  const file = await parseMeshFile(text, 'mesh.yaml');
  const nodes = fileNodes(file).map((resource) => nodeRecord(resource).node);
  const { granularity, subnet } = file;
  return buildTopology({ nodes, peers: [], now: NOW }, { granularity, subnet, hostname });
};
const shown = ({ segments }: Awaited<ReturnType<typeof view>>) =>
  segments.map((segment) => [
    segment.leader.name,
    formatAddress(segment.wireguardIP),
    [...segment.allowedIPs, ...segment.allowedLocationIPs].map(formatCidr).join(' '),
  ]);

describe('a mesh file', () => {
  it('is a topology like any other; who has no key is not in it yet', async () => {
    const topology = await view(FULL, 'aws-1');
    expect(shown(topology)).toEqual([
      ['aws-1', '10.4.0.1', '10.99.0.1/32 10.99.0.1/32 10.4.0.1/32'],
      ['home-1', '10.4.0.2', '10.99.0.2/32 10.99.0.2/32 10.4.0.2/32 192.168.7.0/24'],
    ]);
    expect(topology.problems.map(({ code, subject }) => [code, subject.name])).toEqual([
      ['node-not-ready', 'new-1'],
    ]);
  });

  it('groups by location, where private networks are', async () => {
    const topology = await view(
      `granularity: location
subnet: 10.8.0.0/24
nodes:
  - {name: a, location: one, endpoint: 203.0.113.1, privateIP: 10.0.1.1/24, key: ${key('A')}}
  - {name: b, location: one, endpoint: 203.0.113.2, privateIP: 10.0.1.2/24, leader: true, key: ${key('B')}}
  - {name: c, location: two, endpoint: 203.0.113.3, privateIP: 10.0.2.1/24, key: ${key('C')}}`,
      'a',
    );
    expect(shown(topology)).toEqual([
      ['b', '10.8.0.1', '10.0.1.1/32 10.0.1.1/32 10.0.1.2/32 10.0.1.2/32 10.8.0.1/32'],
      ['c', '10.8.0.2', '10.0.2.1/32 10.0.2.1/32 10.8.0.2/32'],
    ]);
  });

  it.each([
    ['nodes:\n  - name: a\n    endpont: 1.2.3.4', 'line 3: "endpont" is not known'],
    ['nodes:\n  - name: a\n    endpoint: 1.2.3.4:99999', 'line 3: "1.2.3.4:99999" is no endpoint'],
    ['nodes:\n  - name: a\n    endpoint: 1.2.3.4', 'line 2: "a" has nothing to be reached at'],
    ['nodes:\n  - name: A B\n    endpoint: 1.2.3.4', 'line 2: "A B" cannot name a node'],
    [
      'nodes:\n  - {name: a, endpoint: 1.2.3.4, address: 10.9.9.9/24}',
      'line 2: address: "10.9.9.9/24" is no address',
    ],
    ['nodes:\n  - {name: a, endpoint: 1.2.3.4, address: 10.9.9.9, key: x}', 'line 2: the key is none'],
    ['granularity: some\nnodes: [{name: a}]', 'line 1: "some" is none of location, full, cross'],
    ['port: 0\nnodes: [{name: a}]', 'line 1: port must be a number from 1 to 65535'],
    ['nodes: []', 'line 1: the list of nodes is missing'],
    ['nodes:\n  - x', 'line 2: names with values are expected here'],
    ['nodes:\n\t- x', 'line 2:'],
    [
      'nodes:\n  - {name: a, endpoint: 1.2.3.4, address: 10.9.9.1}\n  - {name: a, endpoint: 1.2.3.5, address: 10.9.9.2}',
      'line 3: there is a node "a" already',
    ],
  ])('that is bad is explained by line: %j', async (text, complaint) => {
    await expect(parseMeshFile(text, 'mesh.yaml')).rejects.toThrow(`mesh.yaml: ${complaint}`);
  });

  it('is printed for one node, and as annotations', async () => {
    const path = join(folder, 'mesh.yaml');
    writeFileSync(path, FULL);
    const printed = await cli('mesh', '--file', path, '--print', 'aws-1');
    expect(printed.stdout).toBe(`[Interface]
# Address = 10.4.0.1/16
ListenPort = 51820

[Peer]
AllowedIPs = 10.99.0.2/32, 10.99.0.2/32, 10.4.0.2/32, 192.168.7.0/24
Endpoint = home.example.org:7
PersistentKeepalive = 0
PublicKey = ${key('H')}
`);
    expect(printed.stderr).toContain('Node "new-1" is left out: it has not published a WireGuard key.');
    const annotated = await cli('mesh', '--file', path, '--annotate');
    expect(annotated.stdout.split('\n')[1]).toBe(
      'kubectl annotate node home-1 kilo.squat.ai/force-endpoint=home.example.org:7 kilo.squat.ai/force-internal-ip=10.99.0.2/32 kilo.squat.ai/persistent-keepalive=25 kilo.squat.ai/allowed-location-ips=192.168.7.0/24',
    );
    expect((await cli('mesh', '--file', join(folder, 'none.yaml'), '--print', 'a')).stderr).toContain(
      'cannot be read',
    );
    const first = JSON.parse((await cli('mesh', '--keys', '--state-directory', folder, '-o', 'json')).stdout);
    const second = await cli('mesh', '--keys', '--state-directory', folder, '--hostname', 'x');
    expect(second.stdout).toBe(`  - name: x\n    key: ${first.key}\n`);
  });
});

describe('Nodes of the API over those of a file', () => {
  const node = (annotations: Record<string, string>, podCIDR?: string): NodeResource => ({
    metadata: { name: 'home-1', annotations },
    spec: podCIDR === undefined ? {} : { podCIDR },
  });
  const fromFile = async () => fileNodes(await parseMeshFile(FULL, 'mesh.yaml'))[1];

  it('are alive by the file until their agents have spoken', async () => {
    const silent = nodeRecord(overlaid(node({}, '10.42.7.0/24'), await fromFile())).node;
    expect(isReadyNode(silent, NOW)).toBe(true);
    expect(silent.podCIDRs.map(formatCidr)).toEqual(['10.42.7.0/24']);
    const spoke = { 'kilo.squat.ai/key': key('N'), 'kilo.squat.ai/last-seen': String(NOW - 100) };
    const gone = nodeRecord(overlaid(node(spoke, '10.42.7.0/24'), await fromFile())).node;
    expect(isReadyNode(gone, NOW)).toBe(false);
    expect(gone.key).toBe(key('N'));
  });

  it('keep what somebody wrote into the API', async () => {
    const { node: own } = nodeRecord(
      overlaid(node({ 'kilo.squat.ai/force-endpoint': '192.0.2.7:9' }), await fromFile()),
    );
    expect(own.endpoint?.port).toBe(9);
    expect(own.internalIP && formatCidr(own.internalIP)).toBe('10.99.0.2/32');
    expect(overlaid(node({}), undefined)).toEqual(node({}));
  });
});

describe('a file in the place of an API', () => {
  it('tells whoever watches of changes, and keeps what the agent says', async () => {
    const nodes = fileNodes(await parseMeshFile(FULL, 'mesh.yaml'));
    const client = new FileClient(nodes.slice(0, 2));
    const end = new AbortController();
    const heard: string[] = [];
    const watching = (async () => {
      for await (const event of client.watch(NODES, {
        resourceVersion: '1',
        timeoutSeconds: 60,
        signal: end.signal,
      }))
        if (event.type !== 'BOOKMARK')
          heard.push(
            `${event.type} ${event.object.metadata.name} ${event.object.metadata.annotations?.said ?? ''}`,
          );
    })();
    await client.patch(NODES, 'aws-1', { metadata: { annotations: { said: 'yes' } } });
    client.update([nodes[0] as NodeResource, nodes[2] as NodeResource]);
    await expect
      .poll(() => heard)
      .toEqual(['MODIFIED aws-1 yes', 'DELETED home-1 ', 'MODIFIED aws-1 yes', 'MODIFIED new-1 ']);
    expect((await client.list(NODES)).items.map(({ metadata }) => metadata.name)).toEqual(['aws-1', 'new-1']);
    await expect(client.patch(NODES, 'home-1', {})).rejects.toMatchObject({
      code: 'ERR_KUBERNETES_NOT_FOUND',
    });
    end.abort();
    await watching;
  });

  it('is let go when an agent asks, and held by one at a time', async () => {
    expect(await takeMesh(folder, 'kwjc0')).toBe(false);
    let asked = 0;
    const letGo = await holdMesh(folder, 'kwjc0', () => asked++);
    await expect(holdMesh(folder, 'kwjc0', () => {})).rejects.toThrow('Another kilowire mesh keeps kwjc0');
    const taking = takeMesh(folder, 'kwjc0');
    await expect.poll(() => asked).toBe(1);
    letGo();
    expect(await taking).toBe(true);
    (await holdMesh(folder, 'kwjc0', () => {}))();
  });
});
