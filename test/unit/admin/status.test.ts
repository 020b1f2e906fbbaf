/**
 * `status`: who leads and why, and each thing that may be wrong with what to do about it.
 * @module
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endpoint, hybrid, keyOf, node, peer, twoRegions } from '../routing/clusters.ts';
import { AdminWorld, nodeResource, nowSeconds, peerResource } from './admin-world.ts';

/** Nobody listens there, and no interface has that name. */
const ALONE = ['--agent', 'http://127.0.0.1:1', '--interface', 'kwad-none'];
const LEADS = { 'kilo.squat.ai/wireguard-ip': '10.4.0.1/16' };
const LEADS_2 = { 'kilo.squat.ai/wireguard-ip': '10.4.0.2/16' };

describe('status of a mesh that is well', () => {
  const world = new AdminWorld();
  beforeAll(async () => {
    await world.start();
    world.fill({ ...twoRegions, peers: [peer('laptop', ['10.5.0.1/32'])] });
    world.put(nodeResource(twoRegions.nodes[0]!, LEADS), nodeResource(twoRegions.nodes[3]!, LEADS_2));
  });
  afterAll(() => world.end());

  it('says so, and who leads', async () => {
    const { status, stdout, stderr } = await world.run('status', ...ALONE);
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toContain(
      'location mesh, addresses from 10.4.0.0/16; 6 of 6 nodes take part; 1 of 1 peers',
    );
    expect(stdout).toMatch(
      /^location:us +us-1 +first with a public endpoint +10\.4\.0\.2 +198\.51\.100\.1:51820 +3$/m,
    );
    expect(stdout).toMatch(
      /^eu-2 +eu +member +10\.1\.0\.2\/24 +10\.1\.0\.2:51820 +10\.42\.1\.0\/24 +- +\d s ago$/m,
    );
    expect(stdout).toContain('Nothing is wrong.');
    expect(stdout).not.toContain('\x1b[');
  });

  it('is JSON for programs', async () => {
    const status = JSON.parse((await world.run('status', '-o', 'json', ...ALONE)).stdout);
    expect(status.mesh).toEqual({
      granularity: 'location',
      subnet: '10.4.0.0/16',
      nodes: { ready: 6, all: 6 },
      peers: { ready: 1, all: 1 },
      leaderFailover: false,
    });
    expect(status.segments[0]).toEqual({
      location: 'location:eu',
      leader: 'eu-1',
      why: 'first with a public endpoint',
      wireguardIP: '10.4.0.1',
      endpoint: '203.0.113.1:51820',
      discovered: false,
      members: ['eu-1', 'eu-2', 'eu-3'],
    });
    expect(status.here).toBeNull();
    expect(status.problems).toEqual([]);
  });

  it('shows the tunnels an agent tells of, and its faults', async () => {
    const agent = createServer((_request, response) =>
      response.end(
        JSON.stringify({
          node: 'eu-1',
          segments: [
            { leader: 'eu-1', tunnel: null },
            {
              leader: 'us-1',
              tunnel: {
                endpoint: '198.51.100.1:51820',
                lastHandshake: nowSeconds() - 61,
                roundTripMs: 87.26,
                receivedBytes: 2048,
                sentBytes: 12,
              },
            },
          ],
          peers: [
            {
              name: 'laptop',
              tunnel: { endpoint: '192.0.2.9:1', lastHandshake: null, receivedBytes: 0, sentBytes: 148 },
            },
          ],
          faults: [
            {
              code: 'routes',
              subject: { kind: 'host', name: 'eu-1' },
              message: 'RTM_NEWROUTE failed: EINVAL.',
            },
          ],
        }),
      ),
    );
    await new Promise<void>((resolve) => agent.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(agent.address() as AddressInfo).port}`;
    const { status, stdout } = await world.run('status', '--agent', url, '--interface', 'kwad-none');
    agent.close();
    expect(status).toBe(1);
    expect(stdout).toMatch(/^eu-1 +us-1 +198\.51\.100\.1:51820 +6\d s ago +87\.3 ms +2\.0 KiB +12 B$/m);
    expect(stdout).toContain('  eu-1 dials laptop at 192.0.2.9:1 and was never answered.\n');
    expect(stdout).toContain('  RTM_NEWROUTE failed: EINVAL.\n');
  });
});

describe('what is wrong is said, with what to do', () => {
  const world = new AdminWorld();
  beforeAll(async () => {
    await world.start();
    world.fill(hybrid);
  });
  afterAll(() => world.end());
  const codes = async (): Promise<string[]> => {
    const { stdout } = await world.run('status', '-o', 'json', ...ALONE);
    const { problems } = JSON.parse(stdout) as {
      problems: { code: string; subject: string; remedy: string }[];
    };
    for (const { remedy } of problems) expect(remedy.length).toBeGreaterThan(20);
    return problems.map(({ code, subject }) => `${code} ${subject}`);
  };

  it('leaders that do not say their address yet', async () => {
    expect(await codes()).toEqual([
      'address-differs node gcp-1',
      'address-differs node home-1',
      'address-differs node metal-1',
    ]);
    const addresses = ['10.4.0.1/16', undefined, '10.4.0.3/16', '10.4.0.2/16'];
    for (const [index, address] of addresses.entries())
      world.put(
        nodeResource(
          hybrid.nodes[index]!,
          address === undefined ? {} : { 'kilo.squat.ai/wireguard-ip': address },
        ),
      );
    expect(await codes()).toEqual([]);
  });

  it('a node that fell silent', async () => {
    world.put(nodeResource(hybrid.nodes[1]!, {}, nowSeconds() - 600));
    const { status, stdout } = await world.run('status', ...ALONE);
    expect(status).toBe(1);
    expect(stdout).toMatch(/Node "gcp-2" is left out: its last heart-beat is 60\d s old\./);
    expect(stdout).toContain('spec.nodeName=gcp-2');
    expect(stdout).toMatch(/^gcp-2 +gcp +out .* 10 min ago$/m);
    world.put(nodeResource(hybrid.nodes[1]!));
  });

  it('but not a Node that never had an agent', async () => {
    world.put({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'plain', uid: 'p' }, spec: {} });
    expect(await codes()).toEqual([]);
    world.api.store.delete('nodes', 'plain');
  });

  it('annotations and Peers that cannot be read', async () => {
    world.put(
      nodeResource(hybrid.nodes[1]!, { 'kilo.squat.ai/force-endpoint': 'here' }),
      peerResource(peer('odd', ['10.5.0.9/32'], { key: 'nonsense' })),
      { ...peerResource(peer('wide', [])), spec: { allowedIPs: ['10.5.0.1'], publicKey: keyOf('wide') } },
    );
    expect(await codes()).toEqual([
      'annotation-ignored node gcp-2',
      'peer-invalid peer odd',
      'peer-invalid peer wide',
    ]);
    world.api.store.delete('peers.kilo.squat.ai', 'odd');
    world.api.store.delete('peers.kilo.squat.ai', 'wide');
    world.put(nodeResource(hybrid.nodes[1]!));
  });

  it('a mesh of two minds, and a clock that is ahead', async () => {
    world.put(nodeResource(hybrid.nodes[1]!, { 'kilo.squat.ai/granularity': 'full' }, nowSeconds() + 300));
    expect(await codes()).toEqual(['granularity-differs node gcp-2', 'clock-differs node gcp-2']);
    world.put(nodeResource(hybrid.nodes[1]!));
  });

  it('a name that does not resolve', async () => {
    world.put(
      peerResource(peer('lost', ['10.5.0.7/32'], { endpoint: endpoint('no-such-host.invalid:51820') })),
    );
    expect(await codes()).toEqual(['endpoint-unresolved endpoint no-such-host.invalid']);
    world.api.store.delete('peers.kilo.squat.ai', 'lost');
  });

  it('a leader nobody can dial: a notice, since it may be reachable after all', async () => {
    const shed = node({
      name: 'shed-1',
      location: 'shed',
      endpoint: '192.168.7.2:51820',
      internalIP: '192.168.7.2/24',
      podCIDR: '10.42.9.0/24',
    });
    world.put(nodeResource(shed, { 'kilo.squat.ai/wireguard-ip': '10.4.0.3/16' }));
    world.put(nodeResource(hybrid.nodes[2]!, { 'kilo.squat.ai/wireguard-ip': '10.4.0.4/16' }));
    const { status, stdout } = await world.run('status', ...ALONE);
    expect(status).toBe(0);
    expect(stdout).toContain('Worth a look:\n  "shed-1" is dialled at the private address 192.168.7.2:51820');
  });
});

describe('why a leader leads', () => {
  const world = new AdminWorld();
  beforeAll(() => world.start());
  afterAll(() => world.end());

  it.each([
    [{}, 'us-1', 'first with a public endpoint'],
    [{ 'us-3': 'leader' }, 'us-3', 'volunteer; none has a public endpoint'],
    [{ 'us-1': 'leader' }, 'us-1', 'volunteer, public endpoint'],
  ] as const)('%j: %s, %s', async (volunteers: Readonly<Record<string, string>>, leader, why) => {
    for (const each of twoRegions.nodes)
      world.put(
        nodeResource(each, volunteers[each.name] === undefined ? {} : { 'kilo.squat.ai/leader': '' }),
      );
    const { segments } = JSON.parse((await world.run('status', '-o', 'json', ...ALONE)).stdout);
    expect(segments[1]).toMatchObject({ leader, why });
  });
});
