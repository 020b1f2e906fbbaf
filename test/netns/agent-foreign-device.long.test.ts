/**
 * Agents over devices that are not ours: wireguard-go and boringtun, each found by its control socket, in one mesh with a
 * device that the agent of its node has made itself, under another name. The nodes are drawn in agent-world.ts.
 * @module
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AgentWorld, NODES } from './agent-world.ts';
import { isRoot, until } from './host.ts';
import { boringtun, newestWireguardGo } from './toolchains.ts';

const programs = isRoot
  ? { go: await newestWireguardGo(), rust: await boringtun() }
  : { go: undefined, rust: undefined };
const ADDRESSES = '10.4.0.1/16,10.4.0.2/16,10.4.0.3/16';
const LINK = 'kwmk7';

describe.skipIf(programs.go === undefined || programs.rust === undefined)(
  'agents over foreign devices',
  () => {
    let world: AgentWorld;
    beforeEach(() => {
      world = new AgentWorld('kwmk');
    });
    afterEach(() => world.remove());

    /** Both put their socket where all do; here that is the node's own directory. */
    const startDevice = (name: string, ...command: string[]): void => {
      const place = 'mkdir -p /run/wireguard && mount --bind "$0" /run/wireguard && exec "$@"';
      const device = world
        .host(name)
        .spawn(
          [
            'unshare',
            '--mount',
            '--propagation',
            'slave',
            'sh',
            '-c',
            place,
            world.directory(name),
            ...command,
          ],
          {
            WG_THREADS: '1',
          },
        );
      device.stdout?.resume();
      device.stderr?.resume();
      world.foreign.push(device);
    };

    it('join them to one mesh with a device of their own making', async () => {
      await world.startApi();
      startDevice('b', programs.go ?? '', '-f', LINK);
      startDevice('c', programs.rust ?? '', '-f', '--disable-drop-privileges', LINK);
      await until('the devices', () =>
        ['b', 'c'].every((name) => existsSync(join(world.directory(name), `${LINK}.sock`))),
      );
      const flags = [`--interface=${LINK}`, '--mesh-granularity=full', '--encapsulate=never'];
      world.startAgent('a', '--create-interface', ...flags);
      for (const name of ['b', 'c']) world.startAgent(name, '--create-interface=false', ...flags);
      try {
        await world.meshed(60_000, ADDRESSES);
      } catch (error) {
        for (const { name } of NODES) process.stderr.write(`${name}:\n${world.log(name)}\n`);
        throw error;
      }
      for (const { name } of NODES) {
        expect(world.host(name).ip('-4', '-br', 'addr', 'show', LINK, 'up'), name).toContain(
          ADDRESSES.split(',')[NODES.findIndex((node) => node.name === name)],
        );
        expect(world.host(name).ip('link', 'show')).not.toContain('kilo0');
      }
      // A session that lives is left alone: nothing is told to a device that has what it shall have.
      const changes = /kilowire_changes_total\{what="wireguard"\} (\d+)/;
      const told = async (): Promise<string[]> =>
        await Promise.all(
          NODES.map(async ({ name }) => changes.exec(await world.ask(name, '/metrics'))?.[1] ?? '0'),
        );
      const before = await told();
      const passes = async (): Promise<number[]> =>
        await Promise.all(
          NODES.map(async ({ name }) =>
            Number(/kilo_reconciles_total (\d+)/.exec(await world.ask(name, '/metrics'))?.[1]),
          ),
        );
      const done = await passes();
      for (const { name } of NODES)
        world.request('PATCH', `/api/v1/nodes/${name}`, { metadata: { labels: { seen: 'again' } } });
      world.request('PATCH', '/api/v1/nodes/a', {
        metadata: { annotations: { 'kilo.squat.ai/allowed-location-ips': '10.77.0.0/16' } },
      });
      await until('the range to be routed', () =>
        ['b', 'c'].every((name) => world.routes(name).some((line) => line.startsWith('10.77.0.0/16'))),
      );
      const after = await told();
      expect((await passes()).some((count, at) => count > (done[at] ?? 0))).toBe(true);
      expect(after[0]).toBe(before[0]);
      expect(Number(after[1])).toBe(Number(before[1]) + 1);
      expect(Number(after[2])).toBe(Number(before[2]) + 1);
    });
  },
);
