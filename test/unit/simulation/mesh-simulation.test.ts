/**
 * A mesh of real agents in virtual time: what it holds through hours of troubles, that a seed is one run, and that the judge sees what
 * is wrong.
 * @module
 */
import { describe, expect, it } from 'vitest';
import type { Granularity } from '../../../src/routing/node.ts';
import { MeshSimulation } from '../../../src/simulation/mesh-simulation.ts';
import { simulateDay } from '../../../src/simulation/simulated-day.ts';
import { CALM_SECONDS, TROUBLES } from '../../../src/simulation/storm.ts';

const HOUR = 3600;
const small = (seed: number, granularity: Granularity = 'location') => ({
  seed,
  nodes: 10,
  locations: 5,
  granularity,
});
const calm = async (simulation: MeshSimulation): Promise<MeshSimulation> => {
  await simulation.pass(CALM_SECONDS);
  return simulation;
};
const rulesBroken = ({ judge }: MeshSimulation): string[] => [
  ...new Set(judge.violations.map(({ rule }) => rule)),
];
const memberOf = (simulation: MeshSimulation, name: string) => {
  const member = simulation.members.get(name);
  if (member === undefined) throw new Error(name);
  return member;
};

describe('a mesh through hours of troubles', () => {
  it.each([
    [1, 'location'],
    [2, 'location'],
    [3, 'full'],
    [4, 'cross'],
  ] as const)('seed %i, %s: no rule is broken', async (seed, granularity) => {
    const result = await simulateDay(small(seed, granularity), HOUR / 2);
    expect(
      result.violations,
      `node bench/simulation.ts --nodes 10 --locations 5 --agents 10 --resync 30s --hours 0.5 --granularity ${granularity} --seed ${seed}`,
    ).toEqual([]);
    expect(result.convergedAfterSeconds).not.toBeNull();
    expect(result.troubles.length).toBeGreaterThan(3);
    // Each node says once in 30 s that it lives; what changes adds little to it.
    expect(result.writesPerSecond).toBeLessThanOrEqual(result.writesAllowed * 1.05);
  });

  it('the same seed is the same run', async () => {
    const [first, second, other] = [
      await simulateDay(small(7), HOUR / 4),
      await simulateDay(small(7), HOUR / 4),
      await simulateDay(small(8), HOUR / 4),
    ];
    expect(second).toEqual(first);
    expect(other.troubles).not.toEqual(first.troubles);
  });

  it('a thousand nodes in twenty locations come together, as seen by some of them', async () => {
    const options = { seed: 1, nodes: 1000, locations: 20, granularity: 'location', agents: 2 } as const;
    const simulation = new MeshSimulation(options);
    await simulation.pass(10);
    expect(simulation.judge.isAsExpected()).toBe(true);
    expect(simulation.judge.violations).toEqual([]);
  });
});

describe('what happens', () => {
  it('a leader that loses power is replaced, and leads again when it returns', async () => {
    const simulation = await calm(new MeshSimulation(small(1)));
    const leaderOf = (name: string): string | undefined =>
      memberOf(simulation, name).host.topology?.segments.find(({ location }) => location === 'location:l00')
        ?.leader.name;
    expect(leaderOf('n0001')).toBe('n0000');
    simulation.powerOff(memberOf(simulation, 'n0000'));
    await simulation.pass(95);
    expect(leaderOf('n0001')).toBe('n0005');
    expect(leaderOf('n0005')).toBe('n0005');
    simulation.powerOn(memberOf(simulation, 'n0000'));
    await calm(simulation);
    simulation.judge.calm();
    expect(simulation.judge.violations).toEqual([]);
  });

  it('ten minutes without the API cost nobody a peer or a route', async () => {
    const simulation = await calm(new MeshSimulation(small(2)));
    const end = TROUBLES['the API is away for all']?.(simulation, simulation.chance);
    await simulation.pass(600);
    expect(simulation.judge.checks.get('no peer or route is lost while the API is away')).toBeGreaterThan(
      100,
    );
    end?.();
    await calm(simulation);
    simulation.judge.calm();
    expect(simulation.judge.violations).toEqual([]);
  });

  it.each(Object.keys(TROUBLES))('%s: it passes', async (trouble) => {
    const simulation = await calm(new MeshSimulation({ ...small(5), nodes: 6, locations: 3 }));
    const end = TROUBLES[trouble]?.(simulation, simulation.chance);
    await simulation.pass(70);
    simulation.judge.circles();
    end?.();
    await calm(simulation);
    simulation.judge.calm();
    expect(simulation.judge.violations).toEqual([]);
  });
});

describe('two locations that cannot reach each other', () => {
  const relaysOf = ({ watched }: MeshSimulation): string[] => [
    ...new Set(
      watched.map(({ host }) =>
        (host.topology?.apart ?? [])
          .map(({ ends, relay }) => [...ends, relay].map((segment) => segment?.leader.name).join(' '))
          .join(),
      ),
    ),
  ];
  const cut = async (granularity: Granularity, seed: number): Promise<MeshSimulation> => {
    const simulation = await calm(
      new MeshSimulation({ ...small(seed, granularity), nodes: 8, locations: 4 }),
    );
    simulation.network.cut('l00', 'l01');
    await simulation.pass(150);
    return simulation;
  };

  it.each(['location', 'full', 'cross'] as const)(
    '%s: a third passes on what they send, until they can',
    async (granularity) => {
      const simulation = await cut(granularity, 11);
      simulation.judge.relayed('l00', 'l01');
      simulation.judge.circles();
      expect(simulation.judge.violations).toEqual([]);
      const [apart = '', ...others] = relaysOf(simulation);
      expect(others).toEqual([]);
      // One pair of leaders, or each of the two nodes with each of the other two.
      expect(apart.split(',')).toHaveLength(granularity === 'location' ? 1 : 4);
      expect(apart).not.toContain('undefined');

      simulation.network.heal();
      await calm(simulation);
      simulation.judge.allDirect();
      simulation.judge.calm();
      expect(simulation.judge.violations).toEqual([]);
    },
  );

  it('lose nothing while the API is away', async () => {
    const simulation = await cut('location', 12);
    const end = TROUBLES['the API is away for all']?.(simulation, simulation.chance);
    await simulation.pass(300);
    simulation.judge.relayed('l00', 'l01');
    // The way opens, and nobody can say so: who acted on it alone would not be understood by the other.
    simulation.network.heal();
    await simulation.pass(120);
    simulation.judge.relayed('l00', 'l01');
    end?.();
    await calm(simulation);
    simulation.judge.allDirect();
    expect(simulation.judge.violations).toEqual([]);
  });

  it('have another relay when the first is gone, and keep that one when it is back', async () => {
    const simulation = await cut('location', 13);
    const first = relaysOf(simulation)[0]?.split(' ')[2] ?? '';
    const place = memberOf(simulation, first).shape.location;
    const members = [...simulation.members.values()].filter(({ shape }) => shape.location === place);
    for (const member of members) simulation.powerOff(member);
    await simulation.pass(120);
    simulation.judge.relayed('l00', 'l01');
    const second = relaysOf(simulation);
    expect(second).toHaveLength(1);
    expect(second[0]).not.toContain(first);
    for (const member of members) simulation.powerOn(member);
    await simulation.pass(120);
    expect(relaysOf(simulation)).toEqual(second);
    simulation.judge.relayed('l00', 'l01');
    expect(simulation.judge.violations).toEqual([]);
  });

  it('stay apart where agents are told not to pass anything on', async () => {
    const options = { ...small(14), nodes: 6, locations: 3, flags: { relay: false } };
    const simulation = await calm(new MeshSimulation(options));
    simulation.network.cut('l00', 'l01');
    await simulation.pass(150);
    expect(relaysOf(simulation)).toEqual(['']);
    simulation.judge.relayed('l00', 'l01');
    expect(rulesBroken(simulation)).toEqual(['every pod reaches every pod']);
  });
});

describe('the judge sees', () => {
  it('a route that was lost while the API was away', async () => {
    const simulation = await calm(new MeshSimulation(small(3)));
    const member = memberOf(simulation, 'n0000');
    simulation.judge.apiLeft(member);
    simulation.powerOff(memberOf(simulation, 'n0001'));
    await simulation.pass(120);
    expect(rulesBroken(simulation)).toEqual(['no peer or route is lost while the API is away']);
  });

  it('a member the mesh lacks, and its pods that nobody reaches', async () => {
    const simulation = await calm(new MeshSimulation(small(3)));
    memberOf(simulation, 'n0001').node?.kill();
    await simulation.pass(120);
    simulation.judge.calm();
    expect(rulesBroken(simulation)).toContain('the mesh is what its sound members make');
    expect(rulesBroken(simulation)).toContain('every pod reaches every pod');
  });

  it('a circle', async () => {
    const simulation = await calm(new MeshSimulation(small(3)));
    // Two members of one place that hand everything to each other.
    const [a, b] = [memberOf(simulation, 'n0000'), memberOf(simulation, 'n0005')];
    for (const [one, other] of [
      [a, b],
      [b, a],
    ] as const) {
      const via = other.shape.privateCIDR.address;
      const routes = one.host.plan.routes.map((route) => ({ ...route, via, device: 'eth0' }));
      one.host.plan = { routes, rules: [] };
    }
    const found = simulation.send(a, memberOf(simulation, 'n0001'));
    expect(found.end).toBe('loop');
  });
});
