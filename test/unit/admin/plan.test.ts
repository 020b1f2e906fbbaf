/**
 * `plan`: what would change on which node, with the reference's routes and peers as what must come out.
 * @module
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { keyOf, peer, twoRegions } from '../routing/clusters.ts';
import { AdminWorld } from './admin-world.ts';

interface Plan {
  mesh: string[];
  nodes: { name: string; changes: { part: string; before: string | null; after: string | null }[] }[];
  problems: { code: string; what: string }[];
}

describe('plan', () => {
  const world = new AdminWorld();
  const folder = mkdtempSync(join(tmpdir(), 'kilowire-plan-'));
  beforeAll(async () => {
    await world.start();
    world.fill({ ...twoRegions, peers: [peer('laptop', ['10.5.0.1/32'])] });
  });
  afterAll(async () => {
    rmSync(folder, { recursive: true });
    await world.end();
  });
  const plan = async (...args: string[]): Promise<Plan> =>
    JSON.parse((await world.run('plan', ...args, '-o', 'json')).stdout);
  const manifest = (text: string): string => {
    const path = join(folder, 'manifest.yaml');
    writeFileSync(path, text);
    return path;
  };
  /** The lines of one node, `-` and `+` as printed. */
  const linesOf = ({ nodes }: Plan, node: string): string[] =>
    (nodes.find(({ name }) => name === node)?.changes ?? [])
      .filter(({ part }) => part !== 'filter')
      .flatMap(({ before, after }) => [
        ...(before === null ? [] : [`- ${before}`]),
        ...(after === null ? [] : [`+ ${after}`]),
      ]);

  const NEW_PEER = `
apiVersion: kilo.squat.ai/v1alpha1
kind: Peer
metadata: { name: office }
spec:
  allowedIPs: [10.5.0.2/32]
  publicKey: ${keyOf('office')}
  presharedKey: ${keyOf('secret')}
`;

  it('a new Peer gives leaders a tunnel and everybody a route, and shows no secret', async () => {
    const found = await plan('-f', manifest(NEW_PEER));
    expect(found.mesh).toEqual([]);
    expect(found.problems).toEqual([]);
    expect(found.nodes.map(({ name }) => name)).toEqual(['eu-1', 'eu-2', 'eu-3', 'us-1', 'us-2', 'us-3']);
    expect(linesOf(found, 'eu-1')).toEqual([
      `+ peer office; endpoint unknown; allowed 10.5.0.2/32; key ${keyOf('office')}; with a preshared key`,
      '+ 10.5.0.2/32 dev kilo0 src 10.1.0.1',
    ]);
    expect(linesOf(found, 'us-3')).toEqual(['+ 10.5.0.2/32 via 10.2.0.1 dev tunl0 src 10.2.0.3 onlink']);
    expect(found.nodes[0]?.changes.filter(({ part }) => part === 'filter').map(({ after }) => after)).toEqual(
      [
        'iptables -t nat -A POSTROUTING -s 10.5.0.2/32 -m comment --comment "Kilo: jump to NAT chain" -j KILO-NAT',
        'iptables -t nat -A KILO-NAT -d 10.5.0.2/32 -m comment --comment "Kilo: do not NAT packets destined for peers" -j RETURN',
      ],
    );
    expect((await world.run('plan', '-f', manifest(NEW_PEER))).stdout).not.toContain(keyOf('secret'));
  });

  it('changes nothing in the cluster, and finds nothing to change when it is so already', async () => {
    expect(world.api.store.get('peers.kilo.squat.ai', 'office')).toBeUndefined();
    const { status, stdout } = await world.run(
      'plan',
      'annotate',
      'node',
      'eu-1',
      'kilo.squat.ai/location=eu',
    );
    expect([status, stdout]).toEqual([0, 'Nothing would change on any node.\n']);
  });

  it('a volunteer takes the lead, and everybody hands to it', async () => {
    const found = await plan(
      'annotate',
      'node',
      'us-3',
      'kilo.squat.ai/leader=',
      '--node',
      'us-3',
      '--node',
      'us-2',
    );
    expect(found.mesh).toEqual(['"location:us" is led by us-3 in place of us-1.']);
    expect(found.nodes.map(({ name }) => name)).toEqual(['us-2', 'us-3']);
    expect(linesOf(found, 'us-3').slice(0, 2)).toEqual([
      '- kilo0 down',
      '+ kilo0 10.4.0.2/16, UDP port 51820',
    ]);
    expect(linesOf(found, 'us-2')).toContain('- 10.42.0.0/24 via 10.2.0.1 dev tunl0 src 10.2.0.2 onlink');
    expect(linesOf(found, 'us-2')).toContain('+ 10.42.0.0/24 via 10.2.0.3 dev tunl0 src 10.2.0.2 onlink');
    expect(found.problems.map(({ code }) => code)).toEqual(['not-dialable']);
  });

  it('an annotation can be taken away again, and a label moves a node', async () => {
    const moved = await plan('annotate', 'no', 'eu-3', 'kilo.squat.ai/location-', '--node=eu-3');
    expect(moved.mesh).toEqual([
      '"location:" joins: eu-3 leads it at 10.4.0.1.',
      'The mesh address of "location:eu" becomes 10.4.0.2 in place of 10.4.0.1: connections bound to it break.',
      'The mesh address of "location:us" becomes 10.4.0.3 in place of 10.4.0.2: connections bound to it break.',
    ]);
    const labelled = await plan('label', 'node', 'eu-3', 'topology.kubernetes.io/region=us');
    // The annotation goes before the label.
    expect(labelled).toEqual({ mesh: [], nodes: [], problems: [] });
  });

  it('a node that goes takes its routes along', async () => {
    const found = await plan('delete', 'node', 'us-2');
    expect(linesOf(found, 'eu-1')).toEqual([
      `- node us-1; endpoint 198.51.100.1:51820; allowed 10.42.3.0/24, 10.2.0.1/32, 10.42.4.0/24, 10.2.0.2/32, 10.42.5.0/24, 10.2.0.3/32, 10.4.0.2/32; key ${keyOf('us-1')}`,
      `+ node us-1; endpoint 198.51.100.1:51820; allowed 10.42.3.0/24, 10.2.0.1/32, 10.42.5.0/24, 10.2.0.3/32, 10.4.0.2/32; key ${keyOf('us-1')}`,
      '- 10.42.4.0/24 via 10.4.0.2 dev kilo0 src 10.1.0.1 onlink',
      '- 10.2.0.2/32 via 10.4.0.2 dev kilo0 src 10.1.0.1 onlink',
    ]);
    expect(linesOf(found, 'us-2').every((line) => line.startsWith('- '))).toBe(true);
  });

  it('another granularity', async () => {
    const found = await plan('granularity', 'full', '--node', 'eu-2');
    expect(linesOf(found, 'eu-2').filter((line) => /^\+ \d/.test(line))).toEqual([
      '+ 10.42.0.0/24 via 10.4.0.1 dev kilo0 src 10.1.0.2 onlink',
      '+ 10.1.0.1/32 via 10.4.0.1 dev kilo0 src 10.1.0.2 onlink',
      '+ 10.42.2.0/24 via 10.4.0.3 dev kilo0 src 10.1.0.2 onlink',
      '+ 10.42.3.0/24 via 10.4.0.4 dev kilo0 src 10.1.0.2 onlink',
      '+ 10.2.0.1/32 via 10.4.0.4 dev kilo0 src 10.1.0.2 onlink',
      '+ 10.42.4.0/24 via 10.4.0.5 dev kilo0 src 10.1.0.2 onlink',
      '+ 10.42.5.0/24 via 10.4.0.6 dev kilo0 src 10.1.0.2 onlink',
      '+ 10.5.0.1/32 dev kilo0 src 10.1.0.2',
    ]);
  });

  it('says what would be wrong, and fails', async () => {
    const bad = NEW_PEER.replace('10.5.0.2/32', '10.42.1.7/32, 10.5.0.1/32').replace(
      keyOf('office'),
      keyOf('laptop'),
    );
    const { status, stdout } = await world.run('plan', '-f', manifest(bad));
    expect(status).toBe(1);
    expect(stdout).toContain('This would be wrong:\n');
    expect(stdout).toContain(
      '10.42.1.7/32 of Peer "office" is not routed to it: it lies inside "location:eu".',
    );
    expect(stdout).toContain('"office" gets no tunnel: its key is the key of "laptop".');
  });

  it('says alike changes of several nodes once', async () => {
    const { stdout } = await world.run(
      'plan',
      'delete',
      'peer',
      'laptop',
      '--encapsulate=never',
      '--cni=false',
    );
    expect(stdout).toMatch(/^us-2, us-3$/m);
    expect(stdout).toContain('  - route      10.5.0.1/32 via 10.2.0.1 dev private onlink');
  });

  it('reads lists, and leaves out what means nothing to it', async () => {
    const list = `apiVersion: v1
kind: List
items:
- { apiVersion: v1, kind: ConfigMap, metadata: { name: kilo } }
- { apiVersion: v1, kind: Node, metadata: { name: eu-1, annotations: { kilo.squat.ai/persistent-keepalive: "25" } } }
`;
    const { stdout, stderr } = await world.run('plan', '-f', manifest(list), '--node', 'eu-1');
    expect(stderr).toBe('kilowire: ConfigMap kilo means nothing to the mesh; it is left out.\n');
    expect(stdout).toMatch(/ \+ peer +node us-1; .*; keepalive 25 s; /);
  });

  it.each([
    [['plan'], 2, 'Say what to plan: a manifest with -f'],
    [['plan', 'annotate', 'node', 'eu-1'], 2, "Missing required argument 'changes'."],
    [['plan', 'granularity', 'half'], 2, 'mesh granularity half unknown'],
    [['plan', 'frob'], 2, "Too many arguments for 'plan'."],
    [['plan', 'annotate', 'pod', 'x', 'a=b'], 2, '"pod" means nothing to the mesh: only nodes and peers do.'],
    [['plan', 'annotate', 'node', 'mars', 'a=b'], 1, 'There is no Node "mars" in the cluster.'],
    [
      ['plan', 'annotate', 'node', 'eu-1', 'word'],
      2,
      '"word" is no change: write key=value, or key- to take it away.',
    ],
    [['plan', '-f', '/nowhere.yaml'], 1, 'The manifest cannot be read: ENOENT'],
  ])('answers %j with status %i and one sentence', async (args, code, sentence) => {
    const { status, stdout, stderr } = await world.run(...args);
    expect([status, stdout]).toEqual([code, '']);
    expect(stderr).toContain(sentence);
    expect(stderr.trimEnd()).not.toContain('\n');
  });

  it.each(['kind: [', 'just words', 'kind: Peer'])('cannot read %j', async (text) => {
    const { status, stderr } = await world.run('plan', '-f', manifest(text));
    expect(status).toBe(1);
    expect(stderr).toMatch(/^kilowire: The manifest .*manifest\.yaml cannot be read: .*\.\n$/);
  });
});
