/**
 * Kilo's agent and ours in one cluster, as during a migration: some nodes run kg, others kilowire, and each takes the other's
 * place and gives it back while traffic flows. The nodes are drawn in agent-world.ts; all devices are ours, since kg finds any
 * userspace device by its control socket.
 * @module
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AgentWorld, NODES } from './agent-world.ts';
import { end, isRoot, root, until } from './host.ts';
import { kilo } from './toolchains.ts';

const programs = isRoot ? await kilo() : undefined;
if (isRoot && programs === undefined)
  console.log(
    'skipping the mixed cluster: there is no kg; install Go, or name kg and kgctl by KILOWIRE_TEST_KG and KILOWIRE_TEST_KGCTL',
  );

const KEY = Buffer.alloc(32, 7).toString('base64');
/** Kilo looks at everything every 30 s, and takes that long to hear of what it missed. */
const PATIENCE_MS = 120_000;
const ADDRESSES = {
  location: '10.4.0.1/16,10.4.0.2/16,',
  full: '10.4.0.1/16,10.4.0.2/16,10.4.0.3/16',
} as const;

type Program = 'kilo' | 'kilowire';
type Granularity = keyof typeof ADDRESSES;

describe.skipIf(programs === undefined)('a cluster of kg and kilowire', () => {
  let world: AgentWorld;
  beforeEach(async () => {
    world = new AgentWorld('kwm');
    await world.startApi();
    for (const { name } of NODES) world.startDevice(name);
    await until('the devices', () =>
      NODES.every(({ name }) => existsSync(join(world.directory(name), 'kilo0.sock'))),
    );
  });
  afterEach(() => world.remove());

  const start = (program: Program, name: string, granularity: Granularity): void => {
    const flags = [`--mesh-granularity=${granularity}`, '--encapsulate=never'];
    if (program === 'kilo') world.startKilo(programs?.kg ?? '', name, ...flags);
    else world.startAgent(name, '--create-interface=false', '--clean-up=false', ...flags);
  };

  const replace = async (program: Program, name: string, granularity: Granularity): Promise<void> => {
    const agent = world.agents.get(name);
    if (agent !== undefined) await end(agent);
    start(program, name, granularity);
  };

  const meshed = async (granularity: Granularity): Promise<void> => {
    try {
      await world.meshed(PATIENCE_MS, ADDRESSES[granularity]);
    } catch (error) {
      for (const { name } of NODES) process.stderr.write(`${name}:\n${world.log(name)}\n`);
      throw error;
    }
  };

  /** What the kernels hold, beside what the Nodes say. */
  const heldAddresses = (): string =>
    NODES.map(
      ({ name }) =>
        / (10\.4\.\S+)/.exec(world.host(name).ip('-4', '-br', 'addr', 'show', 'kilo0', 'up'))?.[1] ?? '',
    ).join();

  describe.each(['location', 'full'] as const)('with granularity %s', (granularity) => {
    it.each([
      ['kg on one node of three', ['kilowire', 'kilo', 'kilowire']],
      ['kilowire on one node of three', ['kilo', 'kilowire', 'kilo']],
    ] as const)('agrees on addresses and leaders, and every pod reaches every other: %s', async (_, mix) => {
      for (const [index, { name }] of NODES.entries()) start(mix[index] ?? 'kilo', name, granularity);
      await meshed(granularity);
      expect(heldAddresses()).toBe(ADDRESSES[granularity]);
    });

    it('lets a node change hands and come back while traffic flows', async () => {
      for (const { name } of NODES) start('kilo', name, granularity);
      await meshed(granularity);
      const lost = world.pinging('c', 'a');
      const keys = NODES.map(({ name }) => world.annotation(name, 'key'));
      for (const program of ['kilowire', 'kilo', 'kilowire'] as const) {
        const before = Number(world.annotation('b', 'last-seen'));
        await replace(program, 'b', granularity);
        await until(
          `${program} to say that b lives`,
          () => Number(world.annotation('b', 'last-seen')) > before,
          PATIENCE_MS,
        );
        await meshed(granularity);
      }
      console.log(`${granularity}: ${await lost()} pings lost while b changed hands three times`);
      expect(NODES.map(({ name }) => world.annotation(name, 'key'))).toEqual(keys);
    });

    it('is drawn and written down by kgctl as by kilowire', async () => {
      for (const { name } of NODES) start('kilowire', name, granularity);
      await meshed(granularity);
      world.request('POST', '/apis/kilo.squat.ai/v1alpha1/peers', {
        apiVersion: 'kilo.squat.ai/v1alpha1',
        kind: 'Peer',
        metadata: { name: 'laptop' },
        spec: { publicKey: KEY, allowedIPs: ['10.5.0.1/32'], persistentKeepalive: 10 },
      });
      const peers = (): boolean => world.api.store.list('peers.kilo.squat.ai').length === 1;
      await until('the Peer', peers);
      const config = `--kubeconfig=${world.kubeconfig()}`;
      const ours = join(root, 'bin/kilowire');
      for (const command of [
        ['graph'],
        ['showconf', 'node', 'a'],
        ['showconf', 'node', 'b'],
        ['showconf', 'peer', 'laptop'],
        ['showconf', 'peer', 'laptop', '--as-peer', '-o', 'yaml'],
        ['showconf', 'node', 'a', '--as-peer'],
        ['showconf', 'node', 'a', '--as-peer', '-o', 'json'],
      ]) {
        const [theirs, own] = await Promise.all(
          [programs?.kgctl ?? '', ours].map((program) => world.administer(program, ...command, config)),
        );
        expect(own, command.join(' ')).toBe(theirs);
      }
    });
  });
});
