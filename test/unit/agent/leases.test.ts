/**
 * Heart-beats by Lease in a mesh of real agents in virtual time: what they write, that nobody is lost by it, and that annotations
 * go on while somebody reads nothing else.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/agent/clock.ts';
import { LEASES as LEASE_TYPE } from '../../../src/agent/kubernetes/resources.ts';
import { Leases, readLeases } from '../../../src/agent/leases.ts';
import { MeshSimulation, type SimulationOptions } from '../../../src/simulation/mesh-simulation.ts';
import { simulateDay } from '../../../src/simulation/simulated-day.ts';
import { startApi } from './api-under-test.ts';

const MINUTES = 10;
const LEASES = 'leases.coordination.k8s.io';

const run = async (more: Partial<SimulationOptions>) => {
  const options = { seed: 5, nodes: 8, locations: 3, granularity: 'location' as const };
  const simulation = new MeshSimulation({ ...options, ...more });
  await simulation.pass(240);
  const writes = new Map<string, number>();
  const count = ({ resource }: { readonly resource: string }): void =>
    void writes.set(resource, (writes.get(resource) ?? 0) + 1);
  simulation.api.store.watch(count);
  return { simulation, writes };
};

const BY_LEASE = { flags: { heartbeat: 'lease' } };

describe('heart-beats by Lease', () => {
  it('are all that a calm mesh writes: one in 30 s for each node', async () => {
    const { simulation, writes } = await run(BY_LEASE);
    await simulation.pass(MINUTES * 60);
    const allowed = (8 * MINUTES * 60) / 30;
    expect(writes.get('nodes') ?? 0).toBe(0);
    expect(writes.get(LEASES)).toBeGreaterThan(allowed * 0.9);
    expect(writes.get(LEASES)).toBeLessThanOrEqual(allowed * 1.05);
    expect(simulation.judge.violations).toEqual([]);
    const lease = simulation.api.store.list(LEASES)[0]?.[1] as unknown as { spec: Record<string, unknown> };
    expect(lease.spec).toMatchObject({ holderIdentity: 'n0000', leaseDurationSeconds: 60 });
    expect(lease.spec.renewTime).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  });

  it('as annotations they are as many', async () => {
    const { simulation, writes } = await run({});
    await simulation.pass(MINUTES * 60);
    const allowed = (8 * MINUTES * 60) / 30;
    expect(writes.get('nodes')).toBeLessThanOrEqual(allowed * 1.05);
    expect(writes.has(LEASES)).toBe(false);
  });

  it('wait while one node in the mesh does not read them', async () => {
    const { simulation, writes } = await run({ ...BY_LEASE, agents: 7 });
    await simulation.pass(MINUTES * 60);
    expect(writes.has(LEASES)).toBe(false);
    expect(writes.get('nodes')).toBeGreaterThan(7 * MINUTES);
    expect(simulation.judge.violations).toEqual([]);
  });

  it.each([11])('keep the mesh through half an hour of troubles (seed %i)', async (seed) => {
    const options = { seed, nodes: 8, locations: 4, granularity: 'location' as const, ...BY_LEASE };
    const result = await simulateDay(options, 1800);
    expect(result.violations).toEqual([]);
    expect(result.convergedAfterSeconds).not.toBeNull();
    expect(result.writesPerSecond).toBeLessThanOrEqual(result.writesAllowed * 1.1);
  });
});

describe('Leases at an API server', () => {
  it('are made, renewed, heard by others, and read by who looks once', async () => {
    const { client, end } = await startApi();
    const abort = new AbortController();
    const errors: unknown[] = [];
    const heard = new Set<string>();
    const leasesOf = (hostname: string) =>
      new Leases({
        client,
        hostname,
        clock: systemClock,
        random: Math.random,
        isIn: (node) => {
          heard.add(node);
          return true;
        },
        onDue: () => {},
        onContact: () => {},
        onError: (error) => errors.push(error),
      });
    const [a, b] = [leasesOf('a'), leasesOf('b')];
    const done = a.run(abort.signal);
    try {
      await until(() => a.heard);
      await b.renew(1_795_233_627, 'uid-b', abort.signal);
      await until(() => a.lastSeen('b') === 1_795_233_627);
      await b.renew(1_795_233_657, 'uid-b', abort.signal);
      await until(() => a.lastSeen('b') === 1_795_233_657);
      expect([...heard, a.lastSeen('c')]).toEqual(['b', 0]);
      const { metadata, spec } = await client.get(LEASE_TYPE, 'kilowire-b', 'kube-node-lease');
      expect(metadata.ownerReferences).toEqual([{ apiVersion: 'v1', kind: 'Node', name: 'b', uid: 'uid-b' }]);
      expect(spec?.renewTime).toBe('2026-11-21T04:00:57.000000Z');
      const node = (abilities: string) => ({
        metadata: { name: 'b', annotations: { 'kilowire.dev/abilities': abilities } },
      });
      expect([...(await readLeases(client, [node('1 kilowire leases')]))]).toEqual([['b', 1_795_233_657]]);
      expect([...(await readLeases(client, [node('1 kilowire')]))]).toEqual([]);
      expect(errors).toEqual([]);
    } finally {
      abort.abort();
      await done;
      await end();
    }
  });
});

const until = async (isSo: () => boolean): Promise<void> => {
  for (let i = 0; i < 400 && !isSo(); i++) await sleep(25);
  if (!isSo()) throw new Error('waited in vain');
};
