/**
 * Agents on three nodes: they find each other through the API, mesh, and keep the mesh through everything that befalls
 * them. The nodes are drawn in agent-world.ts.
 * @module
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AgentWorld, NODES } from './agent-world.ts';
import { end, isRoot, until } from './host.ts';

describe.skipIf(!isRoot)('agents', () => {
  let world: AgentWorld;
  let pristine: Map<string, string>;
  beforeAll(async () => {
    world = new AgentWorld();
    pristine = new Map(NODES.map(({ name }) => [name, world.kernel(name)]));
    await world.startApi();
    for (const { name } of NODES) world.startAgent(name);
    try {
      await world.meshed();
    } catch (error) {
      for (const { name } of NODES) process.stderr.write(`${name}:\n${world.log(name)}\n`);
      throw error;
    }
  });
  afterAll(() => world.remove());

  it('say of their nodes what Kilo would', () => {
    expect(world.annotation('a', 'endpoint')).toBe('10.9.1.2:51820');
    expect(world.annotation('a', 'internal-ip')).toBe('10.9.1.2/24');
    expect(world.annotation('a', 'key')).toMatch(/^[A-Za-z0-9+/]{43}=$/);
    expect(world.annotation('a', 'granularity')).toBe('location');
    expect(NODES.map(({ name }) => world.annotation(name, 'wireguard-ip'))).toEqual([
      '10.4.0.1/16',
      '10.4.0.2/16',
      '',
    ]);
  });

  it('hold on their link the address they say, also after it was another', () => {
    const addresses = (): string => world.host('b').ip('-4', '-br', 'addr', 'show', 'kilo0');
    expect(addresses()).toContain(' 10.4.0.2/16');
    world.host('b').ip('addr', 'add', '10.4.0.9/16', 'dev', 'kilo0');
    world.host('b').ip('addr', 'del', '10.4.0.2/16', 'dev', 'kilo0');
    world.host('b').ip('addr', 'replace', '10.4.0.9/16', 'dev', 'kilo0');
    return until('the address to be back', () =>
      / 10\.4\.0\.2\/16 *$/m.test(addresses().replace(/\s+$/, '')),
    );
  });

  it('keep their key in a file only root can read, as Kilo writes it', () => {
    expect(readFileSync(join(world.directory('a'), 'key'), 'latin1')).toMatch(/^[A-Za-z0-9+/]{43}=$/);
    expect(
      world
        .host('a')
        .exec('stat', '-c', '%a', join(world.directory('a'), 'key'))
        .trim(),
    ).toBe('600');
  });

  it("have Kilo's routes: a leader by WireGuard, the other by its leader", () => {
    expect(world.routes('a')).toEqual([
      '10.42.2.0/24 via 10.4.0.2 dev kilo0 src 10.9.1.2 onlink',
      '10.42.3.0/24 via 10.4.0.2 dev kilo0 src 10.9.1.2 onlink',
      '10.9.2.3 via 10.4.0.2 dev kilo0 src 10.9.1.2 onlink',
    ]);
    expect(world.routes('b')).toEqual([
      '10.42.1.0/24 via 10.4.0.1 dev kilo0 src 10.9.2.2 onlink',
      '10.42.3.0/24 via 10.9.2.3 dev eth0 onlink',
    ]);
    expect(world.routes('c')).toEqual([
      '10.4.0.1 via 10.9.2.2 dev eth0 onlink',
      '10.4.0.2 via 10.9.2.2 dev eth0 onlink',
      '10.42.1.0/24 via 10.9.2.2 dev eth0 onlink',
      '10.42.2.0/24 via 10.9.2.2 dev eth0 onlink',
      '10.9.1.2 via 10.9.2.2 dev eth0 onlink',
    ]);
  });

  it('let nothing for the pods behind a tunnel out in clear when there is no tunnel', () => {
    const nowhere = [
      'unreachable 10.42.2.0/24 metric 4200001107',
      'unreachable 10.42.3.0/24 metric 4200001107',
    ];
    expect(world.closed('a')).toEqual(nowhere);
    expect(world.closed('c')).toEqual([]);
    expect(world.host('a').ip('route', 'get', '10.42.2.9')).toContain('dev kilo0');
    expect(world.host('a').ip('route', 'get', '10.9.2.3')).toContain('dev kilo0');
  });

  it("have Kilo's NAT", () => {
    const rules = world.host('a').exec('iptables-save', '-t', 'nat').split('\n');
    expect(rules).toContain(
      '-A POSTROUTING -s 10.42.1.0/24 -m comment --comment "Kilo: jump to KILO-NAT chain" -j KILO-NAT',
    );
    expect(rules).toContain(
      '-A KILO-NAT -d 10.42.2.0/24 -m comment --comment "Kilo: do not NAT packets destined for known IPs" -j RETURN',
    );
    expect(rules.filter((rule) => rule.startsWith('-A KILO-NAT')).at(-1)).toBe(
      '-A KILO-NAT -m comment --comment "Kilo: NAT remaining packets" -j MASQUERADE',
    );
  });

  it("give pods the node's range", () => {
    const { plugins } = JSON.parse(readFileSync(join(world.directory('b'), '10-kilo.conflist'), 'utf8'));
    expect(plugins[0].ipam).toEqual({ type: 'host-local', ranges: [[{ subnet: '10.42.2.0/24' }]] });
  });

  it('answer for health, metrics, graph and status', async () => {
    expect(await world.ask('a', '/metrics')).toContain('\nkilo_nodes 3\n');
    expect(await world.ask('a', '/graph?format=dot')).toContain('subgraph "cluster_location_location:two"');
    expect(await world.ask('a', '/graph')).toContain('<svg');
    expect(await world.ask('a', '/graph?layout=fake')).toBe('unsupported layout');
    expect(await world.ask('a', '/graph?format=fake')).toBe('unsupported format');
    const status = JSON.parse(await world.ask('c', '/status'));
    expect([status.isLeader, status.segments.length, status.faults]).toEqual([false, 2, []]);
    expect(await world.ask('a', '/health')).toBe('');
  });

  it('killed and started again change nothing and lose nothing', async () => {
    const before = world.kernel('a');
    const stop = world.watching('a');
    const lost = world.pinging('a', 'c');
    await sleep(300);
    const passes = 'kilo_reconciles_total [1-9]';
    const lastSeen = Number(world.annotation('a', 'last-seen'));
    for (let round = 0; round < 2; round++) {
      const agent = world.agents.get('a');
      if (agent !== undefined) await end(agent, 'SIGKILL');
      await sleep(200);
      world.startAgent('a');
      for (;;) {
        if (new RegExp(passes).test(await world.ask('a', '/metrics'))) break;
        await sleep(100);
      }
      await sleep(300);
    }
    // Others count a node as gone after 60 s: that it has nothing new to say is no reason to be silent.
    await until('a heart-beat', () => Number(world.annotation('a', 'last-seen')) > lastSeen);
    expect(await lost()).toBe(0);
    expect(world.kernel('a')).toBe(before);
    // Neighbour entries come and go by themselves; nothing of the mesh was touched.
    expect((await stop()).split('\n').filter((line) => /kilo0|proto static|1107/.test(line))).toEqual([]);
    expect(await world.ask('a', '/metrics')).not.toContain('kilowire_changes_total');
  });

  it('keep the mesh while the API is away, also when they are started anew meanwhile', async () => {
    const before = NODES.map(({ name }) => world.kernel(name));
    const lost = world.pinging('c', 'a');
    await world.api.close();
    await sleep(1000);
    const agent = world.agents.get('b');
    if (agent !== undefined) await end(agent, 'SIGKILL');
    world.startAgent('b');
    await sleep(3000);
    expect(NODES.map(({ name }) => world.kernel(name))).toEqual(before);
    await world.startApi();
    await until('b to be heard again', () => /"msg":"Starting/.test(world.log('b')));
    await sleep(2000);
    expect(await lost()).toBe(0);
    expect(NODES.map(({ name }) => world.kernel(name))).toEqual(before);
    // Seconds of trying are two lines in the log: gone, and back. It tries again ever more rarely.
    await until('a to hear it again', () => world.log('a').includes('The API is back'), 40_000);
    const said = world.log('a').match(/"msg":"[^"]*API[^"]*"/g) ?? [];
    expect(said).toHaveLength(2);
    expect(said[0]).toContain('The mesh stays as it is until the API is back.');
    expect(said[1]).toMatch(/The API is back after \d+ s\./);
  });

  it('put back what somebody takes away', async () => {
    const before = world.routes('a');
    world.host('a').ip('route', 'del', '10.42.3.0/24');
    await until('the route to be back', () => world.routes('a').join() === before.join());
    // As a firewall that is loaded anew does. It is looked at with the next thing that happens, or after half a minute; so is
    // what happened while the agent was at work.
    // The order of what is left as it is says nothing; what is masqueraded comes last.
    const rules = (): string => {
      const lines = world
        .host('a')
        .exec('iptables-save', '-t', 'nat')
        .replace(/^#.*\n|\[.*\]/gm, '')
        .split('\n');
      const last = lines.findLast((line) => line.startsWith('-A KILO-NAT '));
      return [...lines.sort(), last].join('\n');
    };
    const right = rules();
    world.host('a').exec('iptables', '-t', 'nat', '-F');
    world.host('a').ip('route', 'del', '10.42.3.0/24');
    await until(
      'the rules to be back',
      () => rules() === right && world.routes('a').join() === before.join(),
      45_000,
    );
    world.host('a').exec('ip', 'link', 'set', 'kilo0', 'down');
    await until(
      'the link to be up with its routes',
      () => world.routes('a').join() === before.join() && world.reaches('a', 'b'),
      45_000,
    );
  });

  it('start the device anew when it dies', async () => {
    const inside = world.host('b').exec('sh', '-c', 'cat /proc/self/net/dev');
    expect(inside).toContain('kilo0');
    const pids = new Set(world.host('b').exec('ip', 'netns', 'pids', 'kwn-b').split('\n').map(Number));
    for (const pid of world.devices()) if (pids.has(pid)) process.kill(pid, 'SIGKILL');
    await until('b to be reached again', () => world.reaches('a', 'b') && world.reaches('c', 'a'));
  });

  it('let one bad member cost only itself', async () => {
    const spec = (allowedIPs: string[], publicKey: string) => ({ spec: { allowedIPs, publicKey } });
    const key = (digit: string) => `${digit.repeat(42)}A=`;
    const peers = '/apis/kilo.squat.ai/v1alpha1/peers';
    world.request('POST', peers, { metadata: { name: 'bad' }, ...spec(['10.5.0.1'], key('b')) });
    world.request('POST', peers, { metadata: { name: 'greedy' }, ...spec(['10.42.3.0/25'], key('c')) });
    world.request('POST', peers, {
      metadata: { name: 'lost' },
      spec: {
        ...spec(['10.5.0.8/32'], key('d')).spec,
        endpoint: { dnsOrIP: { dns: 'nowhere.invalid' }, port: 1 },
      },
    });
    world.request('POST', peers, { metadata: { name: 'host-bits' }, ...spec(['10.5.1.7/24'], key('e')) });
    await until(
      'the good ones to have routes',
      () => {
        const routes = world.routes('a').join();
        return routes.includes('10.5.1.0/24 dev kilo0') && routes.includes('10.5.0.8 dev kilo0');
      },
      20_000,
    );
    expect(world.routes('a').join()).not.toMatch(/10\.5\.0\.1 |10\.42\.3\.0\/25/);
    const told = async (): Promise<string> => {
      const { faults } = JSON.parse(await world.ask('a', '/status'));
      return faults
        .map(({ code, subject }: { code: string; subject: { name: string } }) => `${code} ${subject.name}`)
        .toSorted()
        .join();
    };
    // A resolver may take its time to say no.
    while (!(await told()).includes('lost')) await sleep(200);
    expect(await told()).toBe(
      'endpoint-unresolved lost,peer-invalid bad,peer-ip-inside-mesh greedy,range-has-host-bits host-bits',
    );
    expect(world.reaches('a', 'c')).toBe(true);
    for (const name of ['bad', 'greedy', 'lost', 'host-bits']) world.request('DELETE', `${peers}/${name}`);
    await until('their routes to be gone', () => !world.routes('a').join().includes('10.5.'));
  });

  it('touch only what belonged to a node that leaves', async () => {
    const lost = world.pinging('a', 'b');
    const agent = world.agents.get('c');
    if (agent !== undefined) await end(agent, 'SIGKILL');
    const node = world.api.store.get('nodes', 'c');
    world.request('DELETE', '/api/v1/nodes/c');
    await until('the routes to c to be gone', () => !world.routes('a').join().includes('10.42.3.0/24'));
    expect(world.routes('a')).toEqual(['10.42.2.0/24 via 10.4.0.2 dev kilo0 src 10.9.1.2 onlink']);
    expect(await lost()).toBe(0);
    if (node !== undefined) world.api.store.put('nodes', 'c', node);
    world.startAgent('c');
    await world.meshed();
  });

  it('take away all that is theirs and nothing else when they are told to end', async () => {
    world.host('a').ip('route', 'add', '198.51.100.0/24', 'via', '10.9.1.1', 'proto', 'static');
    const agent = world.agents.get('a');
    if (agent !== undefined) await end(agent);
    expect(world.routes('a')).toEqual(['198.51.100.0/24 via 10.9.1.1 dev eth0']);
    expect(world.closed('a')).toEqual([]);
    world.host('a').ip('route', 'del', '198.51.100.0/24');
    const rules = world.host('a').exec('iptables-save');
    expect(rules).not.toMatch(/KILO|Kilo/);
    expect(world.host('a').ip('-4', 'addr', 'show', 'kilo0')).not.toContain('inet');
    const annotations = Object.keys(world.api.store.get('nodes', 'a')?.metadata.annotations ?? {});
    expect(annotations).toEqual(['kilo.squat.ai/location']);
    expect(pristine.get('a')).not.toContain('kilo0');
    await until('b to have let a go', () => !world.routes('b').join().includes('10.42.1.0/24'));
  });
});
