/**
 * `simulate`: what happens when a node or a location goes, with the reference's leaders, routes and times as what must come out.
 * @module
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hybrid, node, peer, twoRegions } from '../routing/clusters.ts';
import { AdminWorld, cli, nodeResource } from './admin-world.ts';

interface Loss {
  gone: string[];
  forgotten: { fromSeconds: number; toSeconds: number };
  handover: { by: string; fromSeconds: number; toSeconds: number; because: string[] } | null;
  cutOff: { segment: string; leader: string; next: string | null; nodes: string[]; ranges: string[] }[];
  unreachable: { range: string; what: string; of: string }[];
  mesh: string[];
  nodes: { name: string; changes: { part: string; before: string | null; after: string | null }[] }[];
  problems: { code: string }[];
}

describe('simulate', () => {
  const world = new AdminWorld();
  const folder = mkdtempSync(join(tmpdir(), 'kilowire-simulate-'));
  beforeAll(async () => {
    await world.start();
    world.fill({ ...twoRegions, peers: [peer('laptop', ['10.5.0.1/32'])] });
  });
  afterAll(async () => {
    rmSync(folder, { recursive: true });
    await world.end();
  });
  const simulate = async (...args: string[]): Promise<Loss> =>
    JSON.parse((await world.run('simulate', ...args, '-o', 'json')).stdout);

  it('a leader: another leads, its location is cut off until then, its own pods stay away', async () => {
    const loss = await simulate('node', 'eu-1');
    expect(loss.cutOff).toEqual([
      {
        segment: 'location:eu',
        leader: 'eu-1',
        next: 'eu-2',
        nodes: ['eu-2', 'eu-3'],
        ranges: ['10.42.1.0/24', '10.42.2.0/24'],
      },
    ]);
    expect(loss.unreachable).toEqual([
      { range: '10.42.0.0/24', what: 'pods', of: 'eu-1' },
      { range: '10.1.0.1', what: 'node', of: 'eu-1' },
    ]);
    // The agents here say of themselves only what Kilo's do: gone after 60 s without a heart-beat, seen at a resync.
    expect(loss.handover).toMatchObject({ by: 'heart-beats', fromSeconds: 30, toSeconds: 90 });
    expect(loss.mesh).toEqual(['"location:eu" is led by eu-2 in place of eu-1.']);
    // The others change; who went changes nothing any more.
    expect(loss.nodes.map(({ name }) => name)).toEqual(['eu-2', 'eu-3', 'us-1', 'us-2', 'us-3']);
    // Nobody outside can dial the one that leads now: its endpoint is private.
    expect(loss.problems.map(({ code }) => code)).toContain('not-dialable');
  });

  it('another: nobody is cut off, and its routes go', async () => {
    const loss = await simulate('node', 'us-3');
    expect(loss).toMatchObject({ cutOff: [], handover: null, mesh: [] });
    const changes = loss.nodes.find(({ name }) => name === 'eu-1')?.changes ?? [];
    const routes = changes.filter(({ part }) => part === 'route').map(({ before, after }) => [before, after]);
    expect(routes).toEqual([
      ['10.42.5.0/24 via 10.4.0.2 dev kilo0 src 10.1.0.1 onlink', null],
      ['10.2.0.3/32 via 10.4.0.2 dev kilo0 src 10.1.0.1 onlink', null],
    ]);
  });

  it('a whole location: addresses of those after it move', async () => {
    const loss = await simulate('location', 'eu');
    expect(loss.gone).toEqual(['eu-1', 'eu-2', 'eu-3']);
    expect(loss.mesh).toEqual([
      'The mesh address of "location:us" becomes 10.4.0.1 in place of 10.4.0.2: connections bound to it break.',
      '"location:eu" leaves.',
    ]);
    expect(loss.cutOff).toEqual([]);
    expect(loss.nodes.map(({ name }) => name)).toEqual(['us-1', 'us-2', 'us-3']);
  });

  it('everything', async () => {
    const loss = await simulate('location', 'eu', 'us');
    expect(loss.nodes).toEqual([]);
    expect(loss.problems.map(({ code }) => code)).toEqual(['node-not-ready']);
  });

  it('says it in words', async () => {
    const { stdout, status } = await world.run('simulate', 'node', 'eu-1');
    expect(status).toBe(0);
    expect(stdout).toContain(
      'Until another leads, 30 to 90 s by heart-beats:\n  "location:eu" is cut off from the others: eu-2, eu-3 with 10.42.1.0/24, 10.42.2.0/24.',
    );
    expect(stdout).toContain('Then:\n  "location:eu" is led by eu-2 in place of eu-1.');
    expect(stdout).toContain(
      'For as long as eu-1 is away, nobody reaches:\n  10.42.0.0/24  pods of eu-1\n  10.1.0.1  node eu-1',
    );
    expect(stdout).toContain(
      'Probes would replace a leader in under 5 s, if the agents of these knew them: eu-1, eu-2,',
    );
  });

  it('from a file, without any cluster: private networks that only it offers go with it', async () => {
    const path = join(folder, 'cluster.json');
    const items = hybrid.nodes.map((each) => nodeResource(each, {}, 1_000_000));
    writeFileSync(path, JSON.stringify({ kind: 'List', apiVersion: 'v1', items }));
    const run = await cli('simulate', 'node', 'home-1', '-f', path, '-o', 'json');
    const loss = JSON.parse(run.stdout) as Loss;
    expect(loss.unreachable).toContainEqual({
      range: '192.168.1.0/24',
      what: 'network behind it',
      of: 'location:home',
    });
    expect(loss.forgotten).toEqual({ fromSeconds: 30, toSeconds: 90 });
  });

  it('by probes, where all agents know them', async () => {
    const path = join(folder, 'probing.json');
    const members = [
      ...twoRegions.nodes,
      node({
        name: 'eu-4',
        location: 'eu',
        endpoint: '203.0.113.4:51820',
        internalIP: '10.1.0.4/24',
        podCIDR: '10.42.6.0/24',
      }),
    ];
    const items = members.map((each) =>
      nodeResource(each, { 'kilowire.dev/abilities': '1000000 kilowire leader-failover' }, 1_000_000),
    );
    writeFileSync(path, JSON.stringify({ kind: 'List', apiVersion: 'v1', items }));
    const loss = JSON.parse((await cli('simulate', 'node', 'eu-1', '-f', path, '-o', 'json')).stdout) as Loss;
    expect(loss.handover).toEqual({ by: 'probes', fromSeconds: 1, toSeconds: 5, because: [] });
    expect(loss.forgotten).toEqual({ fromSeconds: 30, toSeconds: 62 });
    expect(loss.cutOff.map(({ next }) => next)).toEqual(['eu-4']);
  });

  it.each([
    [['node', 'mars'], 'There is no node "mars" in the mesh: see kilowire status.'],
    [['location', 'mars'], 'There is no location "mars" in the mesh: see kilowire status.'],
    [['node', 'eu-1', '-f', '/nonexistent'], 'The cluster cannot be read'],
  ])('%j is told in a sentence', async (args, sentence) => {
    const { status, stderr } = await world.run('simulate', ...args);
    expect([status, stderr.includes(sentence)]).toEqual([1, true]);
  });
});
