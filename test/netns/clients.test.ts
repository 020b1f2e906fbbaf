/**
 * Clients of a mesh of agents, by real packets: a file that wg-quick loads, and terms that the nodes keep.
 *
 *     kwjc-a …  kwjc-r  … kwjc-b, kwjc-c        (agent-world.ts)
 *                 │
 *             kwjc-lap 10.9.9.2
 * @module
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AgentWorld, NODES } from './agent-world.ts';
import { type Host, has, isRoot, root, run, until } from './host.ts';
import { API, GATEWAY, hostOutside } from './laptop.ts';

const LINK = 'kwjclap';
// wg-quick asks for a userspace implementation only where the kernel has none.
const able = isRoot && has('wg-quick') && !existsSync('/sys/module/wireguard');

describe.skipIf(!able)('clients', () => {
  let world: AgentWorld;
  let laptop: Host;
  beforeAll(async () => {
    world = new AgentWorld('kwjc');
    laptop = hostOutside('kwjc');
    laptop.ip('route', 'add', 'default', 'via', GATEWAY);
    await world.startApi();
    world.putService('default', 'kubernetes', '10.43.0.1');
    world.putService('default', 'web', '10.43.0.80');
    // kube-proxy's part, on the node that the services' packets come to: a pod of node c answers for web.
    const nat = ['iptables', '-t', 'nat', '-A'];
    world.host('a').exec(...nat, 'PREROUTING', '-d', '10.43.0.80', '-j', 'DNAT', '--to', '10.42.3.1');
    const marked = ['-m', 'conntrack', '--ctorigdst', '10.43.0.0/16', '-j', 'MASQUERADE'];
    world.host('a').exec(...nat, 'POSTROUTING', ...marked);
    for (const { name } of NODES) world.startAgent(name);
    await world.meshed();
  });
  afterAll(async () => {
    try {
      laptop.ip('link', 'del', LINK);
    } catch {
      // it is down
    }
    laptop.remove();
    await world.remove();
  });

  const client = async (...args: string[]): Promise<string> =>
    await world.administer(
      process.execPath,
      join(root, 'src/cli/main.ts'),
      'client',
      ...args,
      '--master',
      API,
    );

  const wgQuick = (verb: 'up' | 'down', file: string): string =>
    laptop.exec(
      'env',
      `PATH=${join(root, 'bin')}:${process.env.PATH}`,
      'WG_QUICK_USERSPACE_IMPLEMENTATION=kilowire-wg',
      'wg-quick',
      verb,
      file,
    );

  const answered = (from: Host, ...ping: string[]): boolean => {
    try {
      from.exec('ping', '-q', '-c', '1', ...ping);
      return true;
    } catch {
      return false;
    }
  };
  const reaches = (address: string): boolean => answered(laptop, '-W', '1', address);
  const shut = (address: string): boolean => !answered(laptop, '-W', '0.3', address);
  /** Whether a pod of a node reaches the laptop. */
  const asked = (name: string, pod: string): boolean =>
    answered(world.host(name), '-W', '1', '-I', pod, '10.5.0.1');
  const [pods, node, web] = [NODES.map(({ pod }) => pod), '10.9.2.3', '10.43.0.80'];
  const file = (): string => join(world.folder.path, `${LINK}.conf`);

  it('get a file that wg-quick takes into the mesh', async () => {
    await client('add', 'laptop', '--preshared-key', '--dns', 'none', '--out', file());
    wgQuick('up', file());
    await until('every pod to answer', () => pods.every((pod) => reaches(pod)), 20_000);
    await until('the service to answer', () => reaches(web));
    expect(reaches(node)).toBe(true);
    expect(world.log('a')).not.toContain('KILO-ALLOW');
  });

  it('reach what they are allowed and nothing else; the cluster reaches them', async () => {
    await client('set', 'laptop', '--allow', '10.42.2.0/24');
    await until('the nodes to shut', () => shut('10.42.1.1'));
    expect([reaches('10.42.2.1'), shut(node), shut(web), shut('10.4.0.1'), shut('10.4.0.2')]).toEqual(
      Array(5).fill(true),
    );
    // The other way round a connection is the cluster's.
    expect([asked('a', '10.42.1.1'), asked('b', '10.42.2.1')]).toEqual([true, true]);
  });

  it('reach a service by what it is called, wherever its pods are', async () => {
    await client('set', 'laptop', '--allow', 'default/web');
    await until('the service to open', () => reaches(web), 15_000);
    expect([shut('10.42.2.1'), shut('10.42.3.1'), shut('10.42.1.1')]).toEqual([true, true, true]);
    // Another address is another service.
    world.putService('default', 'web', '10.43.0.81');
    await until('the old address to shut', () => shut(web));
    await client('set', 'laptop', '--allow', 'everything');
    await until('everything to open', () => pods.every((pod) => reaches(pod)) && reaches(web), 15_000);
    expect(world.host('a').exec('iptables-save')).not.toContain('KILO-ALLOW');
  });

  it('are out when they are disabled, and in again', async () => {
    await client('disable', 'laptop');
    await until('the nodes to forget', () => shut('10.42.1.1'));
    expect(world.routes('a').join()).not.toContain('10.5.0.1');
    wgQuick('down', file());
    await client('enable', 'laptop');
    wgQuick('up', file());
    await until('the nodes to know', () => reaches('10.42.1.1'), 20_000);
  });

  it('are out when their time is over, without anybody doing anything', async () => {
    await client('set', 'laptop', '--expires', new Date(Date.now() + 1500).toISOString());
    await until('the end', () => shut('10.42.1.1'), 15_000);
    expect(await client('list')).toMatch(/^laptop .* expired /m);
  });

  it('come in with a new key, and no longer with the old one', async () => {
    const next = join(world.folder.path, 'next.conf');
    await client('rotate', 'laptop', '--dns', 'none', '--out', next);
    await client('set', 'laptop', '--expires', 'never');
    wgQuick('down', file());
    wgQuick('up', file());
    await until('nodes to know the laptop', () =>
      world.routes('a').some((line) => line.startsWith('10.5.0.1')),
    );
    expect(pods.every(shut)).toBe(true);
    wgQuick('down', file());
    run('mv', next, file());
    wgQuick('up', file());
    await until('every pod to answer', () => pods.every((pod) => reaches(pod)), 20_000);
    wgQuick('down', file());
    await client('remove', 'laptop');
    expect(world.api.store.list('peers.kilo.squat.ai')).toEqual([]);
  });
});
