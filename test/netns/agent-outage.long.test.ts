/**
 * What takes longer than a heart-beat's life: an API that is away for minutes, one that is there but says nothing, and a
 * node that dies. The nodes are drawn in agent-world.ts.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AgentWorld, NODES } from './agent-world.ts';
import { end, isRoot, until } from './host.ts';

/** Kilo's rule: a node is gone after 60 s; its agents would act on it at their next look, 30 s later at most. */
const LONGER_THAN_KILO_WAITS = 100_000;

describe.skipIf(!isRoot)('agents, for minutes', () => {
  let world: AgentWorld;
  beforeAll(async () => {
    world = new AgentWorld();
    await world.startApi();
    for (const { name } of NODES) world.startAgent(name);
    await world.meshed();
  });
  afterAll(() => world.remove());

  const unchanged = async (work: () => Promise<void>): Promise<void> => {
    const before = NODES.map(({ name }) => world.kernel(name));
    const watching = NODES.map(({ name }) => world.watching(name));
    const lost = [world.pinging('c', 'a'), world.pinging('a', 'b')];
    await work();
    expect(NODES.map(({ name }) => world.kernel(name))).toEqual(before);
    expect(await Promise.all(lost.map((stop) => stop()))).toEqual([0, 0]);
    const told = await Promise.all(watching.map((stop) => stop()));
    expect(
      told
        .join('\n')
        .split('\n')
        .filter((line) => /kilo0|proto static/.test(line)),
    ).toEqual([]);
  };

  it('keep the mesh while the API is away', async () => {
    await unchanged(async () => {
      await world.api.close();
      await sleep(LONGER_THAN_KILO_WAITS);
      await world.startApi();
      await sleep(15_000);
    });
  });

  it('keep the mesh while the API says nothing', async () => {
    await unchanged(async () => {
      world.api.fallSilent();
      await sleep(LONGER_THAN_KILO_WAITS);
      world.api.fallSilent(false);
      await sleep(15_000);
    });
  });

  it('let go of a node that died, not sooner and not much later than Kilo', async () => {
    // The grace after the outages before is over when everybody had time for a heart-beat.
    await sleep(65_000);
    const agent = world.agents.get('c');
    if (agent !== undefined) await end(agent, 'SIGKILL');
    const lastSeen = Number(world.annotation('c', 'last-seen'));
    await until(
      'the routes to c to be gone',
      () => !world.routes('a').join().includes('10.42.3.0/24'),
      90_000,
    );
    const age = Date.now() / 1000 - lastSeen;
    expect(age).toBeGreaterThanOrEqual(60);
    expect(age).toBeLessThan(75);
    expect(world.reaches('a', 'b')).toBe(true);
  });
});
