/**
 * Names of the cluster on a connected laptop (laptop.ts), and of nothing else there: by a resolver of ours, and by the real
 * systemd-resolved. Two servers know one name each: the cluster's, and that of the network the laptop is in.
 * @module
 */
import type { Socket } from 'node:dgram';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { answerQuery } from '../../src/lab/dns-message.ts';
import { openDatagramSocket } from '../../src/lab/namespace-sockets.ts';
import { AgentWorld, NODES } from './agent-world.ts';
import { end, isRoot, kilowireWg, until } from './host.ts';
import { GATEWAY, Laptop, type Running } from './laptop.ts';
import { SystemdResolved } from './systemd-resolved.ts';

const WEB = 'web.default.svc.cluster.local';
const ELSEWHERE = 'www.example.org';
const resolved = isRoot ? SystemdResolved.find() : undefined;

describe.skipIf(!isRoot)('names of the cluster', () => {
  let world: AgentWorld;
  let laptop: Laptop;
  const servers: Socket[] = [];
  /** Names that each was asked for. */
  const asked = { cluster: new Set<string>(), network: new Set<string>() };

  const serve = async (netns: string, ip: string, zone: string, name: string, address: string) => {
    const socket = await openDatagramSocket(netns, ip, 53);
    const questions = zone === 'org' ? asked.network : asked.cluster;
    socket.on('message', (query, from) => {
      questions.add(questionOf(query));
      const answer = answerQuery(query, new Map([[name, address]]), zone);
      if (answer !== null) socket.send(answer, from.port, from.address);
    });
    servers.push(socket);
  };

  beforeAll(async () => {
    world = new AgentWorld('kwdn');
    laptop = new Laptop(world, 'kwdn');
    await world.startApi();
    world.putService('default', 'kubernetes', '10.43.0.1');
    world.putService('kube-system', 'kube-dns', '10.43.0.10');
    // On the node that services are reached by.
    for (const [server, answer] of [
      ['10.43.0.10', '10.42.2.1'],
      ['10.43.0.53', '10.42.3.1'],
    ] as const) {
      world.host('a').ip('addr', 'add', `${server}/32`, 'dev', 'lo');
      await serve('kwdn-a', server, 'cluster.local', WEB, answer);
    }
    await serve('kwdn-r', GATEWAY, 'org', ELSEWHERE, '192.0.2.1');
    for (const { name } of NODES) world.startAgent(name);
    await world.meshed();
  });
  afterAll(async () => {
    for (const socket of servers) socket.close();
    laptop?.remove();
    await world?.remove();
  });

  afterEach(() => laptop.clear());

  /** As programs ask; '' when there is no such name. */
  const addressOf = async (name: string): Promise<string> =>
    (await laptop.run('getent', 'ahostsv4', name)).split(' ')[0] ?? '';

  const expectNames = async (): Promise<void> => {
    for (const each of Object.values(asked)) each.clear();
    expect(await addressOf(WEB)).toBe('10.42.2.1');
    expect(await addressOf('web.default')).toBe('10.42.2.1');
    expect(await addressOf(ELSEWHERE)).toBe('192.0.2.1');
  };

  it('are resolved by a resolver on loopback, which sends all others where they went', async () => {
    // What `ip netns exec` shows as /etc/resolv.conf.
    mkdirSync('/etc/netns/kwdn-lap', { recursive: true });
    const resolvConf = '/etc/netns/kwdn-lap/resolv.conf';
    try {
      writeFileSync(resolvConf, `nameserver ${GATEWAY}\n`);
      const { child, log } = laptop.connect('--dns', 'local');
      await laptop.connected(log);
      await until('the instruction', () => log().includes('nameserver 127.0.0.1'));
      // As it says.
      writeFileSync(resolvConf, `nameserver 127.0.0.1\nnameserver ${GATEWAY}\nsearch svc.cluster.local\n`);
      await expectNames();
      // What disconnects it does so cleanly.
      const ending = laptop.disconnect();
      await until('the end', () => child.exitCode !== null && ending.child.exitCode !== null, 20_000);
      expect([child.exitCode, ending.child.exitCode]).toEqual([0, 0]);
      await laptop.expectBare();
      // Nothing of ours answers any more; the next line of the file does.
      expect(await addressOf(ELSEWHERE)).toBe('192.0.2.1');
    } finally {
      rmSync('/etc/netns/kwdn-lap', { recursive: true });
    }
  });

  describe.skipIf(resolved === undefined)('by systemd-resolved', () => {
    let service: Running;

    beforeAll(async () => {
      if (resolved === undefined) return;
      service = laptop.spawn('env', ...assignments(resolved), 'unshare', '-m', ...resolved.command('apart'));
      const { pid = 0 } = service.child;
      await until('unshare', () => service.log().includes('Using system hostname'), 20_000);
      laptop.enter(pid, resolved.environment);
      await laptop.run('resolvectl', 'dns', 'eth0', GATEWAY);
    });
    afterAll(() => end(service.child));
    beforeEach(async () => {
      expect(await domains()).not.toContain('cluster.local');
    });

    /** Of all links. */
    const domains = (): Promise<string> => laptop.run('resolvectl', 'domain');
    const connected = async (...flags: readonly string[]): Promise<Running> => {
      const running = laptop.connect(...flags);
      await laptop.connected(running.log);
      await until('the resolver', () => running.log().includes('systemd-resolved'));
      return running;
    };
    const expectNoNames = async (): Promise<void> => {
      expect(await domains()).not.toContain('cluster.local');
      expect(await laptop.run('resolvectl', 'dns')).not.toContain('10.43.0.10');
      expect(await addressOf(WEB)).toBe('');
      expect(await addressOf(ELSEWHERE)).toBe('192.0.2.1');
    };

    it.each(['SIGINT', 'SIGTERM'] as const)(
      'are bound to the link, asked of the cluster only, and gone after %s',
      async (signal) => {
        const { child, log } = await connected();
        expect(await laptop.run('resolvectl', 'domain', 'kilo0')).toMatch(
          /^Link \d+ \(kilo0\): ~cluster\.local svc\.cluster\.local$/m,
        );
        expect(await laptop.run('resolvectl', 'dns', 'kilo0')).toMatch(/\(kilo0\): 10\.43\.0\.10$/m);
        await expectNames();
        expect([...asked.cluster]).toContain(WEB);
        expect([...asked.cluster].filter((name) => !name.endsWith('cluster.local'))).toEqual([]);
        expect([...asked.network].filter((name) => name.endsWith('cluster.local'))).toEqual([]);
        expect(log()).not.toMatch(/"level":"(?:warn|error)"/);
        await end(child, signal);
        expect(child.exitCode).toBe(0);
        await laptop.expectBare();
        await expectNoNames();
      },
    );

    it('go on after kill -9, and are gone after the next connection', async () => {
      const first = await connected();
      await end(first.child, 'SIGKILL');
      // The device is a process of its own: the tunnel stands, and so do the names.
      await expectNames();
      const second = await connected();
      expect(second.log()).toContain('cleaning up after a connection that was killed');
      await expectNames();
      await end(second.child);
      await laptop.expectBare();
      await expectNoNames();
    });

    it('are taken from a link that was there before, also after kill -9', async () => {
      const device = laptop.spawn(kilowireWg, '-f', 'kilo0');
      await until('the device', () => laptop.host.ip('-br', 'link').includes('kilo0'));
      const first = await connected();
      await end(first.child, 'SIGKILL');
      expect(await domains()).toContain('~cluster.local');
      const ending = laptop.disconnect();
      await until('the end', () => ending.child.exitCode !== null, 20_000);
      expect(ending.child.exitCode).toBe(0);
      expect(laptop.host.ip('-br', 'link')).toContain('kilo0');
      await expectNoNames();
      await end(device.child);
      await laptop.expectBare();
    });

    it('are not found by programs that ask somebody else, and how they would is said', async () => {
      await laptop.run('sh', '-c', `rm /etc/resolv.conf; echo nameserver ${GATEWAY} > /etc/resolv.conf`);
      const { child, log } = await connected();
      expect(await addressOf(WEB)).toBe('');
      const link = 'ln -sf /run/systemd/resolve/stub-resolv.conf /etc/resolv.conf';
      await until('the instruction', () => log().includes(link));
      await laptop.run('sh', '-c', link);
      await expectNames();
      await end(child);
      await laptop.expectBare();
    });

    it('are asked of the resolver that is named, and stay with a link that is left', async () => {
      const { child } = await connected('--dns-server', '10.43.0.53', '--clean-up=false');
      expect(await addressOf(WEB)).toBe('10.42.3.1');
      await end(child);
      expect(await laptop.run('resolvectl', 'dns', 'kilo0')).toMatch(/\(kilo0\): 10\.43\.0\.53$/m);
      world.api.store.delete('peers.kilo.squat.ai', 'laptop');
    });
  });
});

/** The name in a DNS message's question; RFC 1035 §4.1.2. */
const questionOf = (message: Uint8Array): string => {
  const labels: string[] = [];
  for (let at = 12; (message[at] ?? 0) !== 0; at += 1 + (message[at] ?? 0))
    labels.push(Buffer.from(message.subarray(at + 1, at + 1 + (message[at] ?? 0))).toString('latin1'));
  return labels.join('.').toLowerCase();
};

const assignments = ({ environment }: SystemdResolved): readonly string[] =>
  Object.entries(environment).map(([name, value]) => `${name}=${value}`);
