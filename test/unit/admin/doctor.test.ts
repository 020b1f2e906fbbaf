/**
 * `doctor`: a host that is well, and one thing after another that is not.
 * @module
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ClusterFacts, Facts } from '../../../src/admin/doctor/facts.ts';
import { findingsOf } from '../../../src/admin/doctor/findings.ts';
import { twoRegions } from '../routing/clusters.ts';
import { AdminWorld, cli, nodeResource, nowSeconds } from './admin-world.ts';

const CLUSTER: ClusterFacts = {
  server: 'https://10.0.0.1:6443',
  error: null,
  definesPeers: true,
  node: { name: 'aws-1', podCIDRs: ['10.42.1.0/24'], out: null, faults: [] },
  clockAhead: 0.4,
};

const WELL: Facts = {
  hostname: 'aws-1',
  interfaceName: 'kilo0',
  ports: { agent: 1107, wireguard: 51_820 },
  isRoot: true,
  kernel: '6.1.0',
  tun: 'usable',
  modules: { ipip: 'present', wireguard: 'missing' },
  sysctls: {
    'net.ipv4.ip_forward': '1',
    'net.ipv4.conf.all.rp_filter': '2',
    'net.ipv4.conf.kilo0.rp_filter': '1',
  },
  links: [
    { name: 'eth0', kind: '', mtu: 1500, up: true },
    { name: 'kilo0', kind: 'tun', mtu: 1420, up: true },
    { name: 'kube-bridge', kind: 'bridge', mtu: 1420, up: true },
  ],
  defaultLink: 'eth0',
  udpPorts: new Set([51_820]),
  tcpPorts: new Set([1107]),
  iptables: {
    version: 'iptables v1.8.9 (nf_tables)',
    legacyTables: [],
    inputPolicy: 'ACCEPT',
    forwardPolicy: 'ACCEPT',
    acceptsWireguard: false,
    acceptsForward: false,
  },
  cni: { folder: '/etc/cni/net.d', conflists: [{ file: '10-kilo.conflist', types: ['bridge', 'portmap'] }] },
  keyMode: '600',
  device: 'answers',
  agentFaults: [],
  cluster: CLUSTER,
};

const wrong = (change: Partial<Facts>): string[] =>
  findingsOf({ ...WELL, ...change })
    .filter(({ state }) => state !== 'ok')
    .map(({ state, check }) => `${state} ${check}`);

describe('a host', () => {
  it('that is well has nothing to do', () => {
    expect(wrong({})).toEqual([]);
    expect(findingsOf(WELL).every(({ remedy }) => remedy === '')).toBe(true);
  });

  const links = (change: Record<string, number>) =>
    WELL.links.map((link) => ({ ...link, mtu: change[link.name] ?? link.mtu }));
  const { iptables, cni } = WELL;

  it.each<[string, Partial<Facts>, string]>([
    ['no TUN', { tun: 'missing' }, 'fault tun'],
    ['no right to TUN', { tun: 'refused', isRoot: false }, 'notice root, fault tun'],
    ['a key others can read', { keyMode: '644' }, 'fault key'],
    ['no IPIP', { modules: { ipip: 'missing', wireguard: 'missing' } }, 'notice ipip'],
    ['no forwarding', { sysctls: { 'net.ipv4.ip_forward': '0' } }, 'fault ip_forward'],
    [
      'a strict reverse path filter',
      { sysctls: { ...WELL.sysctls, 'net.ipv4.conf.all.rp_filter': '0' } },
      'notice rp_filter',
    ],
    ['an MTU that is promised and not carried', { links: links({ eth0: 1460 }) }, 'fault mtu'],
    ['pods that send more than the tunnel carries', { links: links({ 'kube-bridge': 1500 }) }, 'notice mtu'],
    ['no default route', { defaultLink: null }, 'fault mtu'],
    ['a port in use', { device: 'none', links: WELL.links.slice(0, 1) }, 'fault udp port'],
    ["the agent's port in use", { agentFaults: null }, 'fault agent port, notice agent'],
    ['no iptables', { iptables: { ...iptables, version: null } }, 'fault iptables'],
    ['rules in both backends', { iptables: { ...iptables, legacyTables: ['nat'] } }, 'notice iptables'],
    ['a firewall before the mesh', { iptables: { ...iptables, inputPolicy: 'DROP' } }, 'notice firewall'],
    ["Docker's firewall", { iptables: { ...iptables, forwardPolicy: 'DROP' } }, 'fault firewall'],
    [
      'a firewall that knows the mesh',
      {
        iptables: {
          ...iptables,
          inputPolicy: 'DROP',
          forwardPolicy: 'DROP',
          acceptsWireguard: true,
          acceptsForward: true,
        },
      },
      '',
    ],
    ['no CNI configuration', { cni: { ...cni, conflists: [] } }, 'notice cni'],
    [
      'another network plugin that comes first',
      {
        cni: { ...cni, conflists: [{ file: '05-cilium.conflist', types: ['cilium-cni'] }, ...cni.conflists] },
      },
      'fault cni',
    ],
    [
      'what another network plugin left',
      { links: [...WELL.links, { name: 'flannel.1', kind: 'vxlan', mtu: 1450, up: true }] },
      'notice cni',
    ],
    ['a device that is silent', { device: 'silent' }, 'fault device'],
    ['an agent with a fault', { agentFaults: ['RTM_NEWROUTE failed'] }, 'fault agent'],
    ['no API known', { cluster: null }, 'notice api'],
    ['an API that is away', { cluster: { ...CLUSTER, error: 'cannot be reached.' } }, 'fault api'],
    ['a clock that is ahead', { cluster: { ...CLUSTER, clockAhead: 61 } }, 'fault clock'],
    ['a clock that is behind', { cluster: { ...CLUSTER, clockAhead: -61 } }, 'fault clock'],
    ['no CRD', { cluster: { ...CLUSTER, definesPeers: false } }, 'notice peers'],
    ['no Node of its name', { cluster: { ...CLUSTER, node: null } }, 'notice node'],
    [
      'a Node that takes no part',
      {
        cluster: {
          ...CLUSTER,
          node: { name: 'aws-1', podCIDRs: [], out: 'it has no pod CIDR', faults: ['Bad.'] },
        },
      },
      'fault node, fault node, fault node',
    ],
  ])('with %s', (_, change, expected) => {
    expect(wrong(change).join(', ')).toBe(expected);
    for (const { state, remedy } of findingsOf({ ...WELL, ...change }))
      if (state !== 'ok') expect(remedy).toMatch(/\w.*[^.]\.?$/);
  });
});

describe('the command', () => {
  const world = new AdminWorld();
  const folder = mkdtempSync(join(tmpdir(), 'kilowire-doctor-'));
  beforeAll(async () => {
    await world.start();
    world.fill(twoRegions);
  });
  afterAll(async () => {
    rmSync(folder, { recursive: true });
    await world.end();
  });
  const HERE = ['--interface', 'kwad-none', '--agent', 'http://127.0.0.1:1', '--state-directory', folder];

  it('examines this very host, and the Node it is', async () => {
    writeFileSync(join(folder, '10-kilo.conflist'), JSON.stringify({ plugins: [{ type: 'bridge' }] }));
    writeFileSync(join(folder, '20-odd.conflist'), '{');
    writeFileSync(join(folder, 'key'), '', { mode: 0o644 });
    const args = ['doctor', '--hostname', 'eu-1', '--cni-dir', folder, ...HERE];
    const { status, stdout } = await world.run(...args, '-o', 'json');
    const { hostname, findings } = JSON.parse(stdout);
    expect(hostname).toBe('eu-1');
    expect(findings).toContainEqual({
      check: 'cni',
      state: 'ok',
      what: 'the runtime takes 10-kilo.conflist (bridge)',
      remedy: '',
    });
    expect(findings).toContainEqual({
      check: 'node',
      state: 'ok',
      what: 'Node "eu-1" takes part with 10.42.0.0/24',
      remedy: '',
    });
    expect(findings).toContainEqual(
      expect.objectContaining({ check: 'key', state: 'fault', what: expect.stringContaining('(mode 644)') }),
    );
    expect(status).toBe(1);
    expect((await world.run(...args)).stdout).toMatch(/^BAD {3}key +the node's key can be read by others/m);
  });

  it('goes on without the API', async () => {
    const away = await cli('doctor', '--master', 'http://127.0.0.1:1', '-o', 'json', ...HERE);
    expect(JSON.parse(away.stdout).findings).toContainEqual(
      expect.objectContaining({
        check: 'api',
        state: 'fault',
        what: expect.stringContaining('cannot be reached'),
      }),
    );
    const unasked = await world.run('doctor', '--no-api', ...HERE);
    expect(unasked.stdout).toContain('the API was not asked');
  });

  it('sees a Node that fell silent', async () => {
    world.put(nodeResource(twoRegions.nodes[0]!, {}, nowSeconds() - 300));
    const { stdout } = await world.run('doctor', '--hostname', 'eu-1', ...HERE);
    expect(stdout).toMatch(/BAD {3}node +Node "eu-1" takes no part: its last heart-beat is 30\d s old/);
  });

  it('answers a wrong word with one sentence and status 2', async () => {
    const { status, stdout, stderr } = await cli('doctor', 'me');
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^kilowire: Too many arguments for 'doctor'\..*\n$/);
  });
});
