/**
 * The administrator's commands on a mesh of agents. A laptop (laptop.ts) joins it and leaves it again, by every door.
 * @module
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AgentWorld, NODES } from './agent-world.ts';
import { end, type Host, isRoot, kilowireWg, root, run, until } from './host.ts';
import { ADDRESS, API, Laptop, textOf } from './laptop.ts';

describe.skipIf(!isRoot)('connect', () => {
  let world: AgentWorld;
  let laptop: Laptop;
  beforeAll(async () => {
    world = new AgentWorld('kwco');
    laptop = new Laptop(world, 'kwco');
    await world.startApi();
    for (const { name } of NODES) world.startAgent(name);
    await world.meshed();
  });
  afterAll(async () => {
    laptop.remove();
    await world.remove();
  });

  const peerOfLaptop = () => world.api.store.get('peers.kilo.squat.ai', 'laptop');

  it('makes the Peer kgctl would make, reaches every pod, and leaves nothing after an interrupt', async () => {
    const { child, log } = laptop.connect('--allowed-ips', '10.43.0.0/16,10.9.9.0/24');
    await laptop.connected(log);
    expect(peerOfLaptop()).toMatchObject({
      apiVersion: 'kilo.squat.ai/v1alpha1',
      kind: 'Peer',
      spec: {
        allowedIPs: [`${ADDRESS}/32`],
        persistentKeepalive: 10,
        publicKey: expect.stringMatching(/^[A-Za-z0-9+/]{43}=$/),
      },
    });
    const routes = laptop.host
      .ip('-4', 'route', 'show', 'dev', 'kilo0')
      .split('\n')
      .map((line) => line.trim());
    expect(routes.filter((line) => line !== '').toSorted()).toEqual([
      '10.4.0.1 proto static scope link',
      '10.4.0.2 proto static scope link',
      '10.42.1.0/24 via 10.4.0.1 proto static onlink',
      '10.42.2.0/24 via 10.4.0.2 proto static onlink',
      '10.42.3.0/24 via 10.4.0.2 proto static onlink',
      '10.43.0.0/16 via 10.4.0.1 proto static onlink',
      '10.9.2.3 via 10.4.0.2 proto static onlink',
    ]);
    expect(log()).toContain("10.9.9.0/24 is not routed into the mesh: this host's own network lies in it.");
    expect(log()).not.toMatch(/private/i);
    await end(child, 'SIGINT');
    expect(child.exitCode).toBe(0);
    await laptop.expectBare();
  });

  it('kilo §10.4.11: follows the mesh, and cleans up on SIGTERM and SIGHUP too', async () => {
    for (const signal of ['SIGTERM', 'SIGHUP'] as const) {
      const { child, log } = laptop.connect('--interface', 'kwad0');
      await laptop.connected(log);
      world.api.store.put('peers.kilo.squat.ai', 'printer', {
        apiVersion: 'kilo.squat.ai/v1alpha1',
        kind: 'Peer',
        metadata: { name: 'printer', uid: 'printer' },
        spec: { allowedIPs: ['10.5.0.9/32'], publicKey: `${'P'.repeat(42)}E=` },
      });
      await until('the route to the new peer', () =>
        /^10\.5\.0\.9 dev kwad0/m.test(laptop.host.ip('-4', 'route')),
      );
      world.api.store.delete('peers.kilo.squat.ai', 'printer');
      await until('the route to go', () => !/^10\.5\.0\.9 /m.test(laptop.host.ip('-4', 'route')));
      await end(child, signal);
      expect(child.exitCode).toBe(0);
      await laptop.expectBare();
    }
  });

  it('takes away at its next run what a killed one left', async () => {
    const first = laptop.connect();
    await laptop.connected(first.log);
    const key = peerOfLaptop()?.spec;
    await end(first.child, 'SIGKILL');
    expect(peerOfLaptop()).toBeDefined();
    expect(laptop.host.ip('-br', 'link')).toContain('kilo0');
    const second = laptop.connect();
    await laptop.connected(second.log);
    expect(second.log()).toContain('cleaning up after a connection that was killed');
    expect(peerOfLaptop()?.spec).not.toEqual(key);
    await end(second.child, 'SIGTERM');
    await laptop.expectBare();
  });

  it('refuses to be there twice, to take a name or an interface of others, and ends when its Peer is deleted', async () => {
    const { child, log } = laptop.connect();
    await laptop.connected(log);
    const twice = laptop.connect();
    await until('the second to refuse', () => twice.child.exitCode !== null);
    expect(twice.child.exitCode).toBe(1);
    expect(twice.log()).toMatch(/Process \d+ is connected by kilo0 already: end it \(kill \d+\)/);
    const named = laptop.connect('--interface', 'kwad1');
    await until('the third to refuse', () => named.child.exitCode !== null);
    expect(named.log()).toContain('There is a Peer "laptop" with another key');
    const taken = laptop.connect('--state-directory', join(laptop.state, 'other'));
    await until('the fourth to refuse', () => taken.child.exitCode !== null);
    expect(taken.child.exitCode).toBe(1);
    world.api.store.delete('peers.kilo.squat.ai', 'laptop');
    await until('the first to end', () => child.exitCode !== null);
    expect(child.exitCode).toBe(1);
    expect(log()).toContain('The Peer "laptop" has been deleted or changed');
    await laptop.expectBare();
  });

  /** Runs a command on a node; the API server is this process, so it must not be waited for in one piece. */
  const kilowire = async (host: Host, ...args: string[]): Promise<{ status: number | null; out: string }> => {
    const command = [process.execPath, join(root, 'src/cli/main.ts'), ...args, '--master', API];
    const child = host.spawn(command, { KILOWIRE_UAPI_DIR: world.directory('a') });
    const pieces: Buffer[] = [];
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (piece: Buffer) => pieces.push(piece));
    await until(`${args[0]} to end`, () => child.exitCode !== null, 20_000);
    return { status: child.exitCode, out: Buffer.concat(pieces).toString('utf8') };
  };

  it('finds tunnels, ways and wounds as they are', async () => {
    await until('pods to reach each other', () => world.reaches('a', 'c'));
    const { status, out } = await kilowire(world.host('a'), 'status', '--agents', '-o', 'json');
    const found = JSON.parse(out);
    expect(status).toBe(0);
    expect(found.mesh).toMatchObject({ nodes: { ready: 3, all: 3 }, subnet: '10.4.0.0/16' });
    expect(found.here).toMatchObject({ interface: 'kilo0', up: true });
    expect(found.silent).toEqual([]);
    const tunnel = found.tunnels.find(({ from, to }: Record<string, string>) => from === 'a' && to === 'b');
    expect(tunnel.endpoint).toBe('10.9.2.2:51820');
    expect(tunnel.handshakeAge).toBeLessThan(180);
    expect(tunnel.receivedBytes).toBeGreaterThan(0);
    // Agents of all nodes were asked, also the one that has no tunnel.
    expect(found.tunnels.some(({ from }: Record<string, string>) => from === 'b')).toBe(true);

    const way = await kilowire(
      world.host('a'),
      'explain',
      '10.42.1.1',
      '10.42.3.1',
      '--encapsulate=crosssubnet',
      '-o',
      'json',
    );
    const { there, back } = JSON.parse(way.out);
    const steps = ({ hops }: { hops: { at: string; by: string; to: string }[] }) =>
      hops.map(({ at, by, to }) => `${at} ${by} ${to}`);
    expect(steps(there)).toEqual(['a tunnel b', 'b plain c']);
    expect(steps(back)).toEqual(['c plain b', 'b tunnel a']);
    // What it says is what the kernel has.
    expect(there.hops.map(({ route }: { route: string }) => route.replace('private', 'eth0'))).toEqual([
      '10.42.3.0/24 via 10.4.0.2 dev kilo0 src 10.9.1.2 onlink',
      '10.42.3.0/24 via 10.9.2.3 dev eth0 onlink',
    ]);
    expect(world.routes('a')).toContain(there.hops[0].route);
    expect(world.routes('b')).toContain(there.hops[1].route.replace('private', 'eth0'));

    const doctor = await kilowire(world.host('a'), 'doctor', '--hostname', 'a', '-o', 'json');
    const states = new Map(
      JSON.parse(doctor.out).findings.map((each: { check: string; state: string }) => [
        each.check,
        each.state,
      ]),
    );
    for (const check of ['tun', 'ip_forward', 'udp port', 'device', 'agent', 'api', 'node'])
      expect([check, states.get(check)]).toEqual([check, 'ok']);
    // Its bridge was made with 1500 bytes.
    expect(states.get('mtu')).toBe('notice');
    expect((await world.ask('a', '/graph?format=png')).slice(1, 4)).toBe('PNG');
  });

  it('prints for wg(8) what takes a peer into the mesh', async () => {
    const file = world.folder.write('wg.key', laptop.host.exec('wg', 'genkey'));
    const publicKey = run('sh', '-c', `wg pubkey < ${file}`).trim();
    world.api.store.put('peers.kilo.squat.ai', 'e2e', {
      apiVersion: 'kilo.squat.ai/v1alpha1',
      kind: 'Peer',
      metadata: { name: 'e2e', uid: 'e2e' },
      spec: { allowedIPs: ['10.5.0.1/32'], publicKey, persistentKeepalive: 10 },
    });
    const { out } = await kilowire(laptop.host, 'showconf', 'peer', 'e2e');
    const conf = world.folder.write('wg.conf', out);
    laptop.host.exec(kilowireWg, 'kwadwg');
    laptop.host.exec('wg', 'setconf', 'kwadwg', conf);
    laptop.host.exec('wg', 'set', 'kwadwg', 'private-key', file);
    laptop.host.ip('addr', 'add', '10.5.0.1/32', 'dev', 'kwadwg');
    laptop.host.ip('link', 'set', 'kwadwg', 'up');
    laptop.host.ip('route', 'add', '10.42.0.0/16', 'dev', 'kwadwg');
    try {
      await until('every pod to answer', () => NODES.every(({ pod }) => laptop.reaches(pod)), 30_000);
    } finally {
      laptop.host.ip('link', 'del', 'kwadwg');
      world.api.store.delete('peers.kilo.squat.ai', 'e2e');
    }
    await until('the device to end', () => laptop.devices().length === 0);
  });

  it('keeps a Peer that was there before, and its key', async () => {
    const key = laptop.host.exec('wg', 'genkey').trim();
    const file = world.folder.write('laptop.key', `${key}\n`);
    const publicKey = run('sh', '-c', `wg pubkey < ${file}`).trim();
    const peer = {
      apiVersion: 'kilo.squat.ai/v1alpha1',
      kind: 'Peer',
      metadata: { name: 'laptop', uid: 'laptop' },
      spec: { allowedIPs: [`${ADDRESS}/32`], publicKey, persistentKeepalive: 5 },
    };
    world.api.store.put('peers.kilo.squat.ai', 'laptop', peer);
    const { child, log } = laptop.connect('--private-key', file);
    await laptop.connected(log);
    expect(readdirSync(laptop.state).map((name) => textOf(join(laptop.state, name)))).not.toContainEqual(
      expect.stringContaining(key),
    );
    await end(child, 'SIGTERM');
    expect(peerOfLaptop()?.spec).toEqual(peer.spec);
    world.api.store.delete('peers.kilo.squat.ai', 'laptop');
    await laptop.expectBare();
  });
});
