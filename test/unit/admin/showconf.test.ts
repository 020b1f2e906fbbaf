/**
 * `showconf`, over a real exchange with an API server: the texts of the reference, and where kgctl was wrong.
 * @module
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { endpoint, hybrid, keyOf, peer, twoRegions } from '../routing/clusters.ts';
import { AdminWorld, kgctl, nodeResource } from './admin-world.ts';

const office = peer('office', ['10.5.0.2/32', '172.20.0.0/16'], {
  endpoint: endpoint('vpn.example.com:51820'),
  presharedKey: keyOf('secret'),
  persistentKeepalive: 10,
});
const laptop = peer('laptop', ['10.5.0.1/32']);

describe('showconf', () => {
  const world = new AdminWorld();
  beforeAll(async () => {
    await world.start();
    world.fill({ ...twoRegions, peers: [laptop, office] });
  });
  afterAll(() => world.end());

  it('prints a node as kgctl does', async () => {
    const { status, stdout, stderr } = await world.run('showconf', 'node', 'us-1');
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toBe(
      `[Interface]
ListenPort = 51820

[Peer]
AllowedIPs = 10.42.0.0/24, 10.1.0.1/32, 10.42.1.0/24, 10.1.0.2/32, 10.42.2.0/24, 10.1.0.3/32, 10.4.0.1/32
Endpoint = 203.0.113.1:51820
PersistentKeepalive = 0
PublicKey = ${keyOf('eu-1')}

[Peer]
AllowedIPs = 10.5.0.1/32
PersistentKeepalive = 0
PublicKey = ${keyOf('laptop')}

[Peer]
AllowedIPs = 10.5.0.2/32, 172.20.0.0/16
Endpoint = vpn.example.com:51820
PersistentKeepalive = 0
PresharedKey = ${keyOf('secret')}
PublicKey = ${keyOf('office')}
`,
    );
  });

  it('says on stderr that a node does not lead, prints nothing and is content', async () => {
    expect(await world.run('showconf', 'node', 'us-2')).toEqual({
      status: 0,
      stdout: '',
      stderr: 'Node "us-2" is not a leader node\n',
    });
  });

  it.each([
    ['node', 'did not find any node named "mars" in the cluster'],
    ['peer', 'did not find any peer named "mars" in the cluster'],
  ])('names an unknown %s', async (kind, sentence) => {
    const { status, stdout, stderr } = await world.run('showconf', kind, 'mars');
    expect([status, stdout, stderr]).toEqual([1, '', `kilowire: ${sentence}\n`]);
  });

  it('prints what a peer loads, without an [Interface] and with its own keepalive and secret', async () => {
    const { stdout } = await world.run('showconf', 'peer', 'office');
    expect(stdout.startsWith('[Peer]\nAllowedIPs = 10.42.0.0/24, ')).toBe(true);
    expect(stdout.match(/^PersistentKeepalive = 10$/gm)).toHaveLength(3);
    expect(stdout.match(/^PresharedKey = /gm)).toHaveLength(2);
    expect(stdout.endsWith(`PersistentKeepalive = 10\nPublicKey = ${keyOf('laptop')}\n`)).toBe(true);
  });

  it('prints a node as a Peer in the very YAML of kgctl', async () => {
    const args = ['node', 'us-1', '--as-peer', '-o', 'yaml', '--allowed-ips', '10.43.0.0/16'];
    const { stdout } = await world.run('showconf', ...args);
    expect(stdout).toBe(
      `apiVersion: kilo.squat.ai/v1alpha1
kind: Peer
metadata:
  name: us-1
spec:
  allowedIPs:
  - 10.42.3.0/24
  - 10.2.0.1/32
  - 10.42.4.0/24
  - 10.2.0.2/32
  - 10.42.5.0/24
  - 10.2.0.3/32
  - 10.4.0.2/32
  - 10.43.0.0/16
  endpoint:
    dnsOrIP:
      ip: 198.51.100.1
    port: 51820
  publicKey: ${keyOf('us-1')}
`,
    );
  });

  it('prints JSON with the order and the missing line break of kgctl', async () => {
    const { stdout } = await world.run('showconf', 'node', 'us-1', '--as-peer', '-o', 'json');
    expect(stdout.startsWith('{\n  "kind": "Peer",\n  "apiVersion": "kilo.squat.ai/v1alpha1",\n')).toBe(true);
    expect(stdout.endsWith('\n}')).toBe(true);
  });

  // §10.4.10: kgctl printed `ip: <nil>`, the port as a name, and nanoseconds.
  it('prints Peers that the cluster would accept again', async () => {
    const named = parse((await world.run('showconf', 'peer', 'office', '--as-peer', '-o', 'yaml')).stdout);
    expect(named.spec).toEqual({
      allowedIPs: ['10.5.0.2/32', '172.20.0.0/16'],
      endpoint: { dnsOrIP: { dns: 'vpn.example.com' }, port: 51820 },
      persistentKeepalive: 10,
      presharedKey: keyOf('secret'),
      publicKey: keyOf('office'),
    });
    const bare = JSON.parse(
      (await world.run('showconf', 'peer', 'laptop', '--as-peer', '-o', 'json')).stdout,
    );
    expect(bare.spec).toEqual({ allowedIPs: ['10.5.0.1/32'], publicKey: keyOf('laptop') });
  });

  it('prints configurations as JSON and YAML too', async () => {
    const node = JSON.parse((await world.run('showconf', 'node', 'eu-1', '-o', 'json')).stdout);
    expect(node.interface).toEqual({ listenPort: 51820 });
    expect(node.peers[0]).toEqual({
      publicKey: keyOf('us-1'),
      endpoint: '198.51.100.1:51820',
      allowedIPs: [
        '10.42.3.0/24',
        '10.2.0.1/32',
        '10.42.4.0/24',
        '10.2.0.2/32',
        '10.42.5.0/24',
        '10.2.0.3/32',
        '10.4.0.2/32',
      ],
      persistentKeepalive: 0,
    });
    const text = (await world.run('showconf', 'peer', 'laptop', '-o', 'yaml')).stdout;
    expect(parse(text).peers.map(({ publicKey }: { publicKey: string }) => publicKey)).toEqual(
      ['eu-1', 'us-1', 'office'].map(keyOf),
    );
  });

  it('takes its flags before the kind and before itself, as kgctl does', async () => {
    const after = await kgctl(
      'showconf',
      'node',
      'us-1',
      '--as-peer',
      '-o',
      'yaml',
      '--master',
      world.master,
    );
    const before = await kgctl(
      '--master',
      world.master,
      'showconf',
      '--as-peer',
      '-o',
      'yaml',
      'node',
      'us-1',
    );
    expect(before).toEqual(after);
    expect(before.status).toBe(0);
  });

  it('sees another mesh with another granularity', async () => {
    const { stdout } = await world.run('showconf', 'node', 'us-2', '--mesh-granularity=full', '--port=51999');
    expect(stdout).toContain('ListenPort = 51999\n');
    expect(stdout.split('[Peer]')).toHaveLength(8);
  });

  it.each([
    [
      ['showconf', 'node', 'us-1', '-o', 'xml'],
      'Output format xml unknown; possible values are: json, wireguard, yaml.',
    ],
    [
      ['showconf', 'node', 'us-1', '--allowed-ips', '10.0.0.1'],
      'allowed-ips must contain only valid CIDRs; got "10.0.0.1".',
    ],
    [
      ['showconf', 'node', 'us-1', '--mesh-granularity', 'half'],
      'mesh granularity half unknown; possible values are: location, full, cross, auto.',
    ],
    [
      ['showconf', 'node', 'us-1', '--port', '0'],
      'invalid port: port must be in range [1:65535], but got 0.',
    ],
    [
      ['showconf', 'node', 'us-1', '--backend', 'etcd'],
      'backend etcd unknown; possible values are: kubernetes.',
    ],
    [['showconf', 'node'], "Missing required argument 'name'."],
    [['showconf', 'cluster'], "Unknown command 'cluster'."],
    [['showconf', 'node', 'us-1', 'us-2'], 'Too many arguments'],
  ])('answers %j with one sentence and status 2', async (args, sentence) => {
    const { status, stdout, stderr } = await world.run(...args);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr.toLowerCase()).toContain(sentence.toLowerCase());
    expect(stderr.trimEnd()).not.toContain('\n');
  });
});

describe('a node that cannot lead a conversation', () => {
  const world = new AdminWorld();
  beforeAll(async () => {
    await world.start();
    world.fill(hybrid);
    world.put(nodeResource(hybrid.nodes[1]!, {}, 1000));
  });
  afterAll(() => world.end());

  it('is told apart from one that does not exist', async () => {
    const { status, stderr } = await world.run('showconf', 'node', 'gcp-2');
    expect(status).toBe(1);
    expect(stderr).toMatch(
      /^kilowire: Node "gcp-2" cannot join the mesh: its last heart-beat is \d+ s old\.\n$/,
    );
  });

  it('leaves out what a node only relays for its location when shown as a Peer', async () => {
    const { stdout } = await world.run('showconf', 'node', 'home-1', '--as-peer');
    expect(stdout).toBe(`[Peer]
AllowedIPs = 10.42.3.0/24, 192.168.1.10/32, 10.4.0.2/32
Endpoint = 192.168.1.10:51820
PersistentKeepalive = 0
PublicKey = ${keyOf('home-1')}
`);
  });
});
