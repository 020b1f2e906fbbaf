/**
 * What pods send: in clear it is counted, with another pod's address it goes nowhere. The nodes are drawn in agent-world.ts; b and c
 * share a location, which b leads.
 * @module
 */
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AgentWorld, NODES } from './agent-world.ts';
import { end, has, isRoot, run } from './host.ts';

describe.skipIf(!isRoot || !has('tcpdump') || !has('nft'))('pods', () => {
  let world: AgentWorld;
  beforeAll(async () => {
    world = new AgentWorld('kwpod');
    await world.startApi();
    for (const { name } of NODES) world.startAgent(name);
    await world.meshed();
    for (const { name, pod } of NODES) attach(name, pod.replace(/\.1$/, '.9'), pod);
  });
  afterAll(() => {
    for (const { name } of NODES)
      if (existsSync(`/run/netns/${pod(name)}`)) run('ip', 'netns', 'del', pod(name));
    return world.remove();
  });

  const pod = (name: string) => `kwpod-${name}-pod`;
  /** A pod of its own, at the bridge. */
  const attach = (name: string, address: string, gateway: string): void => {
    run('ip', 'netns', 'add', pod(name));
    world.host(name).ip('link', 'add', 'pod', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', pod(name));
    world.host(name).ip('link', 'set', 'pod', 'master', 'kube-bridge', 'up');
    for (const words of [
      `addr add ${address}/24 dev eth0`,
      'link set eth0 up',
      `route add default via ${gateway}`,
    ])
      run('ip', '-n', pod(name), ...words.split(' '));
  };
  const inPod = (name: string, ...command: string[]): string => {
    try {
      return run('ip', 'netns', 'exec', pod(name), ...command);
    } catch (error) {
      return String(error);
    }
  };
  const ping = (from: string, to: string, count = 3): boolean =>
    / 0% packet loss/.test(inPod(from, 'ping', '-q', '-c', String(count), '-i', '0.1', '-W', '2', to));
  const counts = async (name: string): Promise<Record<string, number>> => {
    const text = await world.ask(name, '/metrics');
    const value = (sample: string) =>
      Number(new RegExp(`^kilowire_${sample} (\\d+)$`, 'm').exec(text)?.[1] ?? Number.NaN);
    return {
      location: value('unencrypted_packets_total\\{where="location"\\}'),
      outside: value('unencrypted_packets_total\\{where="outside"\\}'),
      spoofed: value('spoofed_packets_total'),
    };
  };

  it('that reach others through the tunnel leave nothing in clear', async () => {
    expect(ping('a', '10.42.2.9')).toBe(true);
    expect(ping('b', '10.42.1.9')).toBe(true);
    expect(await counts('a')).toEqual({ location: 0, outside: 0, spoofed: 0 });
    expect(await counts('b')).toMatchObject({ outside: 0, spoofed: 0 });
  });

  it('that reach a neighbour, or others by their leader, are counted as of the location', async () => {
    const before = await counts('c');
    expect(ping('c', '10.42.2.9', 4)).toBe(true);
    expect(ping('c', '10.42.1.9', 5)).toBe(true);
    const after = await counts('c');
    expect([after.location! - before.location!, after.outside, after.spoofed]).toEqual([9, 0, 0]);
  });

  it('that leave past the tunnel are counted', async () => {
    const before = await counts('a');
    // Somebody's more specific route, which no agent knows of.
    world.host('a').ip('route', 'add', '10.42.2.9/32', 'via', '10.9.1.1', 'dev', 'eth0');
    expect(ping('a', '10.42.2.9', 3)).toBe(false);
    world.host('a').ip('route', 'del', '10.42.2.9/32');
    const after = await counts('a');
    expect(after.outside! - before.outside!).toBe(3);
    expect(after.location).toBe(before.location);
    expect(ping('a', '10.42.2.9')).toBe(true);
  });

  it("that take a neighbour's address do not get through", async () => {
    // c's address, which WireGuard would let through: both are behind b.
    const before = await counts('b');
    const heard = capture('a');
    run('ip', '-n', pod('b'), 'addr', 'add', '10.42.3.9/32', 'dev', 'lo');
    inPod('b', 'ping', '-q', '-c', '3', '-i', '0.1', '-W', '1', '-I', '10.42.3.9', '10.42.1.9');
    run('ip', '-n', pod('b'), 'addr', 'del', '10.42.3.9/32', 'dev', 'lo');
    expect((await counts('b')).spoofed! - before.spoofed!).toBe(3);
    expect(ping('b', '10.42.1.9')).toBe(true);
    expect(await heard()).not.toContain('10.42.3.9');
  });

  /** What comes in at the pod of a node until stopped. */
  const capture = (name: string): (() => Promise<string>) => {
    const child = world.host(name).spawn(['tcpdump', '-nli', 'pod', 'icmp']);
    const pieces: Buffer[] = [];
    child.stdout?.on('data', (piece: Buffer) => pieces.push(piece));
    child.stderr?.resume();
    return async () => {
      await sleep(300);
      await end(child, 'SIGINT');
      return Buffer.concat(pieces).toString('utf8');
    };
  };

  it('are watched no more when the agent has cleaned up', async () => {
    const agent = world.agents.get('a');
    expect(world.host('a').exec('nft', 'list', 'tables')).toContain('kilowire-pods');
    if (agent !== undefined) await end(agent);
    expect(world.host('a').exec('nft', 'list', 'tables')).not.toContain('kilowire-pods');
  });
});
