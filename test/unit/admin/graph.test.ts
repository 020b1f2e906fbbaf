/**
 * `graph`: kgctl's text, and the formats that need no Graphviz.
 * @module
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { keyOf, peer, twoRegions } from '../routing/clusters.ts';
import { AdminWorld, cli, kgctl, nodeResource } from './admin-world.ts';

describe('graph', () => {
  const world = new AdminWorld();
  const folder = mkdtempSync(join(tmpdir(), 'kilowire-graph-'));
  beforeAll(async () => {
    await world.start();
    world.fill({ ...twoRegions, peers: [peer('laptop', ['10.5.0.1/32'])] });
  });
  afterAll(async () => {
    rmSync(folder, { recursive: true });
    await world.end();
  });

  it('prints DOT and a line break, as kgctl does', async () => {
    const { status, stdout } = await world.run('graph');
    expect(status).toBe(0);
    expect(stdout.startsWith('digraph kilo {\n\tlabel="10.4.0.0/16";\n\tlabelloc=t;\n')).toBe(true);
    expect(stdout).toContain(
      '\t"eu-1"->"us-1"[ dir=both ];\n\t"eu-1"->"laptop"[ dir=both, style=dashed ];\n',
    );
    expect(stdout.endsWith('", shape=ellipse ];\n\n}\n;\n\n}\n\n')).toBe(true);
    expect(await kgctl('--master', world.master, 'graph')).toMatchObject({ status: 0, stdout });
  });

  it('finds pool and granularity where the agents say them', async () => {
    world.put(
      nodeResource(twoRegions.nodes[0]!, {
        'kilo.squat.ai/wireguard-ip': '10.99.0.1/24',
        'kilo.squat.ai/granularity': 'full',
      }),
    );
    // Most nodes decide, not the first.
    const { stdout } = await world.run('graph', '-o', 'json');
    expect(JSON.parse(stdout)).toMatchObject({ subnet: '10.99.0.0/24', granularity: 'location' });
    world.put(nodeResource(twoRegions.nodes[0]!));
  });

  it('is JSON for programs, without secrets', async () => {
    const { segments, peers, tunnels } = JSON.parse((await world.run('graph', '-o', 'json')).stdout);
    expect(segments[1]).toMatchObject({
      location: 'location:us',
      leader: 'us-1',
      wireguardIP: '10.4.0.2',
      endpoint: '198.51.100.1:51820',
      publicKey: keyOf('us-1'),
    });
    expect(segments[1].members.map(({ name }: { name: string }) => name)).toEqual(['us-1', 'us-2', 'us-3']);
    expect(peers).toEqual([
      {
        name: 'laptop',
        allowedIPs: ['10.5.0.1/32'],
        endpoint: null,
        persistentKeepalive: 0,
        publicKey: keyOf('laptop'),
      },
    ]);
    expect(tunnels).toEqual([
      ['eu-1', 'us-1'],
      ['eu-1', 'laptop'],
      ['us-1', 'laptop'],
    ]);
  });

  it('is Mermaid with a box for each location', async () => {
    const { stdout } = await world.run('graph', '--format=mermaid');
    expect(stdout.split('\n').slice(0, 6)).toEqual([
      'flowchart LR',
      '  subgraph g0["location:eu"]',
      '    n0[["eu-1<br>10.42.0.0/24<br>10.1.0.1<br>10.4.0.1<br>203.0.113.1:51820"]]',
      '    n1["eu-2<br>10.42.1.0/24<br>10.1.0.2"]',
      '    n2["eu-3<br>10.42.2.0/24<br>10.1.0.3"]',
      '  end',
    ]);
    expect(stdout).toContain('  p0(["laptop<br>10.5.0.1/32"])\n  n0 -.- n1\n');
    expect(stdout).toContain('  n0 === n3\n  n0 --- p0\n  n3 --- p0\n');
  });

  it('is SVG, into a file', async () => {
    const file = join(folder, 'mesh.svg');
    expect(await world.run('graph', '-o', 'svg', '-f', file)).toEqual({ status: 0, stdout: '', stderr: '' });
    expect(readFileSync(file, 'utf8')).toMatch(/^<svg [^>]*viewBox[\s\S]*<\/svg>\n$/);
  });

  it('is PNG, into a file', async () => {
    const file = join(folder, 'mesh.png');
    expect(await world.run('graph', '-o', 'png', '-f', file)).toEqual({ status: 0, stdout: '', stderr: '' });
    expect(readFileSync(file).subarray(0, 8).toString('latin1')).toBe('\x89PNG\r\n\x1a\n');
  });

  it('refuses a format nobody draws', async () => {
    const { status, stderr } = await world.run('graph', '-o', 'bmp');
    expect(status).toBe(2);
    expect(stderr).toMatch(/argument 'bmp' is invalid\. Allowed choices are dot, svg/);
  });
});

describe('which cluster', () => {
  const world = new AdminWorld();
  const folder = mkdtempSync(join(tmpdir(), 'kilowire-kubeconfig-'));
  const before = process.env.KUBECONFIG;
  const kubeconfig = (name: string, server: string): string => {
    const path = join(folder, name);
    const config = {
      'current-context': name,
      clusters: [{ name, cluster: { server } }],
      contexts: [{ name, context: { cluster: name, user: name } }],
    };
    writeFileSync(path, JSON.stringify(config));
    return path;
  };
  beforeAll(async () => {
    await world.start();
    world.fill(twoRegions);
    const paths = [
      join(folder, 'missing'),
      kubeconfig('away', 'http://127.0.0.1:1'),
      kubeconfig('home', world.master),
    ];
    process.env.KUBECONFIG = paths.join(':');
  });
  afterAll(async () => {
    if (before === undefined) delete process.env.KUBECONFIG;
    else process.env.KUBECONFIG = before;
    rmSync(folder, { recursive: true });
    await world.end();
  });

  it('is that of the first file of $KUBECONFIG, or of the first that has the context', async () => {
    expect((await cli('graph')).stderr).toContain('http://127.0.0.1:1');
    expect(await cli('graph', '--context', 'home')).toMatchObject({ status: 0, stderr: '' });
    expect((await cli('graph', '--context', 'none')).stderr).toBe(
      `kilowire: The kubeconfig ${join(folder, 'away')} cannot be used: it has no context "none".\n`,
    );
  });

  it('is what the flag says before all', async () => {
    expect(await cli('graph', '--kubeconfig', join(folder, 'home'))).toMatchObject({ status: 0, stderr: '' });
  });
});

describe('a cluster without a mesh', () => {
  const world = new AdminWorld();
  beforeAll(() => world.start());
  afterAll(() => world.end());

  it('has no nodes at first', async () => {
    expect(await world.run('graph')).toEqual({
      status: 1,
      stdout: '',
      stderr: 'kilowire: could not get any nodes\n',
    });
  });

  it('has nodes that say nothing of a mesh', async () => {
    world.put({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'bare', uid: 'u' } });
    const { status, stderr } = await world.run('graph');
    expect(status).toBe(1);
    expect(stderr).toMatch(/^kilowire: failed to determine granularity: .*--mesh-granularity\.\n$/);
    expect((await world.run('graph', '--mesh-granularity=full')).stderr).toBe(
      'kilowire: did not find any valid Kilo nodes in the cluster\n',
    );
  });

  it('may not be there at all', async () => {
    const { status, stderr } = await cli('graph', '--master', 'http://127.0.0.1:1');
    expect(status).toBe(1);
    expect(stderr).toMatch(
      /^kilowire: The Kubernetes API at http:\/\/127\.0\.0\.1:1 cannot be reached: .*\n$/,
    );
  });

  it('may be looked for in a kubeconfig that is not there', async () => {
    const { status, stderr } = await cli('graph', '--kubeconfig', '/nowhere/config');
    expect([status, stderr]).toEqual([1, 'kilowire: Cannot read the kubeconfig from /nowhere/config.\n']);
  });
});

describe('version', () => {
  it('names the program', async () => {
    expect((await cli('version')).stdout).toMatch(/^kilowire version \d+\.\d+\.\d+\n$/);
    expect((await kgctl('--version')).stdout).toMatch(/^kgctl version \d+\.\d+\.\d+\n$/);
    expect((await kgctl('-v')).stdout).toBe((await kgctl('version')).stdout);
    expect(JSON.parse((await cli('version', '-o', 'json')).stdout)).toMatchObject({
      program: 'kilowire',
      node: process.version,
    });
  });
});
