/**
 * The administrator's commands on a mesh of agents. A laptop joins it and leaves it again, by every door:
 *
 *     kwn-a …  kwn-r  … kwn-b, kwn-c        (agent-world.ts)
 *                │
 *            kwn-lap 10.9.9.2
 * @module
 */
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { answerQuery } from '../../src/lab/dns-message.ts';
import { openDatagramSocket } from '../../src/lab/namespace-sockets.ts';
import { AgentWorld, NODES } from './agent-world.ts';
import { end, Host, isRoot, kilowireWg, root, run, until } from './host.ts';

const API = 'http://10.9.1.1:8001';
const ADDRESS = '10.5.0.77';

describe.skipIf(!isRoot)('connect', () => {
  let world: AgentWorld;
  let laptop: Host;
  let bare: string;
  let state: string;
  beforeAll(async () => {
    world = new AgentWorld();
    laptop = new Host('kwn-lap');
    run(
      'ip',
      'link',
      'add',
      'eth0',
      'netns',
      'kwn-lap',
      'type',
      'veth',
      'peer',
      'name',
      'to-lap',
      'netns',
      'kwn-r',
    );
    run('ip', '-n', 'kwn-r', 'addr', 'add', '10.9.9.1/24', 'dev', 'to-lap');
    run('ip', '-n', 'kwn-r', 'link', 'set', 'to-lap', 'up');
    laptop.ip('addr', 'add', '10.9.9.2/24', 'dev', 'eth0');
    laptop.ip('link', 'set', 'eth0', 'up');
    laptop.ip('route', 'add', 'default', 'via', '10.9.9.1');
    state = join(world.folder.path, 'laptop');
    bare = snapshot();
    await world.startApi();
    for (const { name } of NODES) world.startAgent(name);
    await world.meshed();
  });
  afterAll(async () => {
    for (const pid of devicesOf(laptop)) process.kill(pid, 'SIGTERM');
    laptop.remove();
    await world.remove();
  });

  const snapshot = (): string =>
    [laptop.ip('-br', 'link'), laptop.ip('-br', 'addr'), laptop.ip('route'), laptop.ip('rule')]
      .join('\n')
      // The kernel numbers links and gives them link-local addresses in its own time.
      .replace(/ fe80::\S+/g, '');

  const connect = (...more: string[]): { child: ChildProcess; log: () => string } => {
    const args = [
      process.execPath,
      join(root, 'src/cli/main.ts'),
      'connect',
      'laptop',
      '-a',
      `${ADDRESS}/32`,
    ];
    const flags = ['--master', API, '--state-directory', state, ...more];
    const child = laptop.spawn([...args, ...flags], { KILOWIRE_UAPI_DIR: state });
    const pieces: string[] = [];
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (piece: Buffer) => pieces.push(piece.toString('utf8')));
    return { child, log: () => pieces.join('') };
  };

  const peerOfLaptop = () => world.api.store.get('peers.kilo.squat.ai', 'laptop');
  const reaches = (address: string): boolean => {
    try {
      laptop.exec('ping', '-q', '-c', '1', '-W', '1', address);
      return true;
    } catch {
      return false;
    }
  };
  const connected = async (log: () => string): Promise<void> => {
    try {
      // The API server is this process: it cannot answer while a ping is waited for.
      await until('the mesh to be known', () => log().includes('in the mesh'), 30_000);
      await until('every pod to answer the laptop', () => NODES.every(({ pod }) => reaches(pod)), 30_000);
    } catch (error) {
      process.stderr.write(`${log()}\n`);
      throw error;
    }
  };
  const gone = (): void => {
    expect(snapshot()).toBe(bare);
    expect(peerOfLaptop()).toBeUndefined();
    expect(existsSync(join(state, 'connect-kilo0.json'))).toBe(false);
    expect(devicesOf(laptop)).toEqual([]);
  };

  it('makes the Peer kgctl would make, reaches every pod, and leaves nothing after an interrupt', async () => {
    const { child, log } = connect('--allowed-ips', '10.43.0.0/16,10.9.9.0/24');
    await connected(log);
    expect(peerOfLaptop()).toMatchObject({
      apiVersion: 'kilo.squat.ai/v1alpha1',
      kind: 'Peer',
      spec: {
        allowedIPs: [`${ADDRESS}/32`],
        persistentKeepalive: 10,
        publicKey: expect.stringMatching(/^[A-Za-z0-9+/]{43}=$/),
      },
    });
    const routes = laptop
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
    await until('the device to end', () => devicesOf(laptop).length === 0);
    gone();
  });

  it('kilo §10.4.11: follows the mesh, and cleans up on SIGTERM and SIGHUP too', async () => {
    for (const signal of ['SIGTERM', 'SIGHUP'] as const) {
      const { child, log } = connect('--interface', 'kwad0');
      await connected(log);
      world.api.store.put('peers.kilo.squat.ai', 'printer', {
        apiVersion: 'kilo.squat.ai/v1alpha1',
        kind: 'Peer',
        metadata: { name: 'printer', uid: 'printer' },
        spec: { allowedIPs: ['10.5.0.9/32'], publicKey: `${'P'.repeat(42)}E=` },
      });
      await until('the route to the new peer', () =>
        /^10\.5\.0\.9 dev kwad0/m.test(laptop.ip('-4', 'route')),
      );
      world.api.store.delete('peers.kilo.squat.ai', 'printer');
      await until('the route to go', () => !/^10\.5\.0\.9 /m.test(laptop.ip('-4', 'route')));
      await end(child, signal);
      expect(child.exitCode).toBe(0);
      await until('the device to end', () => devicesOf(laptop).length === 0);
      gone();
    }
  });

  it('takes away at its next run what a killed one left', async () => {
    const first = connect();
    await connected(first.log);
    const key = peerOfLaptop()?.spec;
    await end(first.child, 'SIGKILL');
    expect(peerOfLaptop()).toBeDefined();
    expect(laptop.ip('-br', 'link')).toContain('kilo0');
    const second = connect();
    await connected(second.log);
    expect(second.log()).toContain('cleaning up after a connection that was killed');
    expect(peerOfLaptop()?.spec).not.toEqual(key);
    await end(second.child, 'SIGTERM');
    await until('the device to end', () => devicesOf(laptop).length === 0);
    gone();
  });

  it('resolves names of the cluster by a resolver on loopback, and goes on resolving all others', async () => {
    const service = (namespace: string, name: string, clusterIP: string): void => {
      world.api.store.put('services', `${namespace}/${name}`, {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name, namespace },
        spec: { clusterIP },
      } as never);
    };
    service('default', 'kubernetes', '10.43.0.1');
    service('kube-system', 'kube-dns', '10.43.0.10');
    // The cluster's resolver, on the node that services are reached by; and the one that the laptop's network has.
    world.host('a').ip('addr', 'add', '10.43.0.10/32', 'dev', 'lo');
    const dns = async (netns: string, ip: string, zone: string, records: [string, string][]) => {
      const socket = await openDatagramSocket(netns, ip, 53);
      socket.on('message', (query, from) => {
        const answer = answerQuery(query, new Map(records), zone);
        if (answer !== null) socket.send(answer, from.port, from.address);
      });
      return socket;
    };
    const web: [string, string] = ['web.default.svc.cluster.local', '10.42.2.1'];
    const servers = [
      await dns('kwn-a', '10.43.0.10', 'cluster.local', [web]),
      await dns('kwn-r', '10.9.9.1', 'org', [['www.example.org', '192.0.2.1']]),
    ];
    // What `ip netns exec` shows as /etc/resolv.conf.
    mkdirSync('/etc/netns/kwn-lap', { recursive: true });
    const resolvConf = '/etc/netns/kwn-lap/resolv.conf';
    writeFileSync(resolvConf, 'nameserver 10.9.9.1\n');
    try {
      const { child, log } = connect('--dns', 'local');
      await connected(log);
      await until('the instruction', () => log().includes('nameserver 127.0.0.1'));
      // As it says.
      writeFileSync(resolvConf, 'nameserver 127.0.0.1\nnameserver 10.9.9.1\nsearch svc.cluster.local\n');
      const resolved = async (name: string): Promise<string> => {
        const asking = laptop.spawn(['getent', 'ahostsv4', name]);
        let out = '';
        asking.stdout?.on('data', (piece: Buffer) => {
          out += piece.toString('utf8');
        });
        await until(`${name} to be answered`, () => asking.exitCode !== null, 20_000);
        return out.split(' ')[0] ?? '';
      };
      expect(await resolved('web.default.svc.cluster.local')).toBe('10.42.2.1');
      expect(await resolved('web.default')).toBe('10.42.2.1');
      expect(await resolved('www.example.org')).toBe('192.0.2.1');
      // What disconnects it does so cleanly.
      const args = [process.execPath, join(root, 'src/cli/main.ts'), 'disconnect', '--master', API];
      const ending = laptop.spawn([...args, '--state-directory', state]);
      await until('the connection to end', () => child.exitCode !== null && ending.exitCode !== null, 20_000);
      expect([child.exitCode, ending.exitCode]).toEqual([0, 0]);
      await until('the device to end', () => devicesOf(laptop).length === 0);
      gone();
      // Nothing of ours answers any more; the next line of the file does.
      expect(await resolved('www.example.org')).toBe('192.0.2.1');
    } finally {
      for (const socket of servers) socket.close();
      rmSync('/etc/netns/kwn-lap', { recursive: true });
      for (const name of ['default/kubernetes', 'kube-system/kube-dns'])
        world.api.store.delete('services', name);
    }
  });

  it('refuses to be there twice, to take a name or an interface of others, and ends when its Peer is deleted', async () => {
    const { child, log } = connect();
    await connected(log);
    const twice = connect();
    await until('the second to refuse', () => twice.child.exitCode !== null);
    expect(twice.child.exitCode).toBe(1);
    expect(twice.log()).toMatch(/Process \d+ is connected by kilo0 already: end it \(kill \d+\)/);
    const named = connect('--interface', 'kwad1');
    await until('the third to refuse', () => named.child.exitCode !== null);
    expect(named.log()).toContain('There is a Peer "laptop" with another key');
    const taken = connect('--state-directory', join(state, 'other'));
    await until('the fourth to refuse', () => taken.child.exitCode !== null);
    expect(taken.child.exitCode).toBe(1);
    world.api.store.delete('peers.kilo.squat.ai', 'laptop');
    await until('the first to end', () => child.exitCode !== null);
    expect(child.exitCode).toBe(1);
    expect(log()).toContain('The Peer "laptop" has been deleted or changed');
    await until('the device to end', () => devicesOf(laptop).length === 0);
    gone();
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
    const file = world.folder.write('wg.key', laptop.exec('wg', 'genkey'));
    const publicKey = run('sh', '-c', `wg pubkey < ${file}`).trim();
    world.api.store.put('peers.kilo.squat.ai', 'e2e', {
      apiVersion: 'kilo.squat.ai/v1alpha1',
      kind: 'Peer',
      metadata: { name: 'e2e', uid: 'e2e' },
      spec: { allowedIPs: ['10.5.0.1/32'], publicKey, persistentKeepalive: 10 },
    });
    const { out } = await kilowire(laptop, 'showconf', 'peer', 'e2e');
    const conf = world.folder.write('wg.conf', out);
    laptop.exec(kilowireWg, 'kwadwg');
    laptop.exec('wg', 'setconf', 'kwadwg', conf);
    laptop.exec('wg', 'set', 'kwadwg', 'private-key', file);
    laptop.ip('addr', 'add', '10.5.0.1/32', 'dev', 'kwadwg');
    laptop.ip('link', 'set', 'kwadwg', 'up');
    laptop.ip('route', 'add', '10.42.0.0/16', 'dev', 'kwadwg');
    try {
      await until('every pod to answer', () => NODES.every(({ pod }) => reaches(pod)), 30_000);
    } finally {
      laptop.ip('link', 'del', 'kwadwg');
      world.api.store.delete('peers.kilo.squat.ai', 'e2e');
    }
    await until('the device to end', () => devicesOf(laptop).length === 0);
  });

  it('keeps a Peer that was there before, and its key', async () => {
    const key = laptop.exec('wg', 'genkey').trim();
    const file = world.folder.write('laptop.key', `${key}\n`);
    const publicKey = run('sh', '-c', `wg pubkey < ${file}`).trim();
    const peer = {
      apiVersion: 'kilo.squat.ai/v1alpha1',
      kind: 'Peer',
      metadata: { name: 'laptop', uid: 'laptop' },
      spec: { allowedIPs: [`${ADDRESS}/32`], publicKey, persistentKeepalive: 5 },
    };
    world.api.store.put('peers.kilo.squat.ai', 'laptop', peer);
    const { child, log } = connect('--private-key', file);
    await connected(log);
    expect(readdirSync(state).map((name) => readFileSafely(join(state, name)))).not.toContainEqual(
      expect.stringContaining(key),
    );
    await end(child, 'SIGTERM');
    expect(peerOfLaptop()?.spec).toEqual(peer.spec);
    await until('the device to end', () => devicesOf(laptop).length === 0);
    expect(snapshot()).toBe(bare);
    world.api.store.delete('peers.kilo.squat.ai', 'laptop');
  });
});

const readFileSafely = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // a socket
  }
};

const devicesOf = (host: Host): number[] =>
  run('ip', 'netns', 'pids', host.name)
    .split('\n')
    .map(Number)
    .filter((pid) => pid > 0 && readFileSafely(`/proc/${pid}/cmdline`).includes('kilowire-wg'));
