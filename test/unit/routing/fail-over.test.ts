/**
 * When a leader is given up, by whom, and when not. Expected values are the promises of docs/reliability.md.
 * @module
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { claimsOf, electLeader, type LeaderClaim } from '../../../src/routing/leader.ts';
import type { Node, ReadyNode } from '../../../src/routing/node.ts';
import { lookFrom, node } from './clusters.ts';
import { FailOverWorld } from './fail-over-world.ts';

const THREE = { aws: 3, eu: 2, gcp: 2 };
const PROMISED_MS = 5000;

/** A small generator whose runs can be repeated (Park and Miller, 1988). */
const generator = (seed: number) => {
  let state = (seed % 2_147_483_646) + 1;
  return (): number => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
};

const calm = (options: ConstructorParameters<typeof FailOverWorld>[0]): FailOverWorld => {
  const world = new FailOverWorld(options);
  world.run(10_000);
  return world;
};

describe('a leader that dies', () => {
  it.each([THREE, { aws: 2, eu: 1 }, { aws: 2, eu: 2, gcp: 1, oci: 4, ali: 1, b: 1, c: 1, d: 1 }])(
    'is replaced in less than five seconds: %j',
    (locations) => {
      const world = calm({ locations });
      world.body('aws-0').alive = false;
      expect(world.untilReached('eu-0', 'aws-1')).toBeLessThan(PROMISED_MS);
      world.run(5000);
      expect(world.leader('aws')).toBe('aws-1');
      const { segments } = world.body('eu-0').topology;
      expect(segments.find(({ location }) => location === 'location:aws')?.claim).toMatchObject({
        generation: 1,
        instead: 'aws-0',
        why: 'silent',
      });
    },
  );

  it('is replaced by the next when the first stand-by died with it, or lost its agent', () => {
    const world = calm({ locations: THREE });
    world.body('aws-0').alive = false;
    world.body('aws-1').alive = false;
    expect(world.untilReached('eu-0', 'aws-2')).toBeLessThan(PROMISED_MS);

    const deaf = calm({ locations: THREE });
    deaf.body('aws-0').alive = false;
    deaf.body('aws-1').hasApi = false;
    expect(deaf.untilReached('eu-0', 'aws-2')).toBeLessThan(PROMISED_MS + 2000);
  });

  it('is replaced in every location of two that die at once', () => {
    const world = calm({ locations: THREE });
    world.body('aws-0').alive = false;
    world.body('eu-0').alive = false;
    expect(world.untilReached('eu-1', 'aws-1')).toBeLessThan(PROMISED_MS);
  });
});

describe('a leader that lives and passes nothing on', () => {
  it('is replaced in less than five seconds, and told why', () => {
    const world = calm({ locations: THREE });
    world.body('aws-0').forwards = false;
    expect(world.untilReached('eu-0', 'aws-1')).toBeLessThan(PROMISED_MS);
    world.run(5000);
    expect(world.body('gcp-1').topology.segments[0]?.claim).toMatchObject({ instead: 'aws-0', why: 'grey' });
    expect(world.reaches('gcp-0', 'aws-0')).toBe(true);
  });

  it('leads again after a minute, and after two, four … when it still passes nothing on', () => {
    const world = calm({ locations: THREE });
    world.body('aws-0').forwards = false;
    world.run(600_000);
    const times = world.history.filter(({ location }) => location === 'location:aws').map(({ at }) => at);
    const leads = world.history.filter(({ leader }) => leader === 'aws-0').map(({ at }) => at);
    // At the beginning, then 60, 120, 240 s after it was replaced; the next would be after 480.
    const waits = leads.slice(1).map((at) => Math.round((at - (times.findLast((t) => t < at) ?? 0)) / 1000));
    expect(waits).toEqual([60, 120, 240]);
  });
});

describe('a leader that dies while the API is away', () => {
  it.each([THREE, { aws: 4, eu: 1 }])('is replaced in less than five seconds: %j', (locations) => {
    const world = calm({ locations });
    world.setApi(false);
    world.body('aws-0').alive = false;
    expect(world.untilReached('eu-0', 'aws-1')).toBeLessThan(PROMISED_MS);
    const last = `aws-${locations.aws - 1}`;
    expect(world.untilReached('eu-0', last)).toBeLessThan(PROMISED_MS);
    // What they found alone is what they publish.
    world.run(60_000);
    world.setApi(true);
    world.run(1000);
    expect(world.leader('aws')).toBe('aws-1');
    expect(world.reaches(last, 'eu-0')).toBe(true);
    world.run(120_000);
    expect(world.leader('aws')).toBe('aws-1');
  });

  it('is not replaced by one that is cut off itself', () => {
    const world = calm({ locations: { aws: 2, eu: 2 } });
    const alone = world.body('aws-1');
    alone.hasApi = false;
    alone.isolated = true;
    world.run(60_000);
    expect(world.reaches('eu-0', 'aws-0')).toBe(true);
    alone.isolated = false;
    world.run(35_000);
    world.setApi(true);
    world.run(5000);
    expect(world.leader('aws')).toBe('aws-0');
    expect(world.history).toHaveLength(2);
  });
});

describe('what replaces nobody', () => {
  it('one observer whose own way out is broken', () => {
    const world = calm({ locations: { ...THREE, oci: 2 } });
    world.body('gcp-0').connected = false;
    world.run(60_000);
    expect(['aws', 'eu', 'oci'].map((location) => world.leader(location))).toEqual([
      'aws-0',
      'eu-0',
      'oci-0',
    ]);
  });

  it('a member that died, though nothing behind the leader answers', () => {
    const world = calm({ locations: { aws: 2, eu: 2 } });
    world.body('aws-1').alive = false;
    world.run(60_000);
    expect(world.history).toHaveLength(2);
  });

  it('anything, where one node runs another agent', () => {
    const world = calm({ locations: THREE, others: ['gcp-1'] });
    world.body('aws-0').alive = false;
    world.run(30_000);
    expect([world.history.length, world.probes, world.writes]).toEqual([3, 0, 0]);
  });

  it('and asks nobody where there is nobody to take over', () => {
    const world = calm({ locations: { aws: 1, eu: 1, gcp: 1 } });
    expect(world.probes).toBe(0);
    expect(
      lookFrom('a', 'full', { nodes: [node({ name: 'a', endpoint: '8.8.8.8:1', podCIDR: '10.42.0.0/24' })] })
        .claimsCount,
    ).toBe(false);
  });

  it.each([0.1, 0.2])('an hour with a loss of %d', (loss) => {
    const world = calm({ locations: { aws: 2, eu: 2, gcp: 2 }, loss, random: generator(loss * 1000) });
    world.run(3_600_000);
    expect(world.history).toHaveLength(3);
    expect(world.writes).toBeLessThan(10);
  });
});

describe('who leads now', () => {
  it('stays when the one before comes back, unless Kilo prefers it by more than its name', () => {
    const equal = calm({ locations: THREE, equal: true });
    equal.body('aws-0').alive = false;
    equal.run(10_000);
    equal.body('aws-0').alive = true;
    equal.run(600_000);
    expect(equal.leader('aws')).toBe('aws-1');

    const preferred = calm({ locations: THREE });
    preferred.body('aws-0').alive = false;
    preferred.run(10_000);
    preferred.body('aws-0').alive = true;
    preferred.run(55_000);
    expect(preferred.leader('aws')).toBe('aws-1');
    preferred.run(10_000);
    expect(preferred.leader('aws')).toBe('aws-0');
  });

  it('is replaced in its turn, and changes among equals become rarer', () => {
    const world = calm({ locations: { aws: 2, eu: 2, gcp: 2 }, equal: true });
    for (const name of ['aws-0', 'aws-1']) world.body(name).forwards = false;
    world.run(3_600_000);
    const changes = world.history.filter(({ location }) => location === 'location:aws').length - 1;
    expect(changes).toBeGreaterThan(3);
    expect(changes).toBeLessThan(15);
  });

  it('costs no probe more in a cluster of many locations', () => {
    const count = (locations: number): number => {
      const names = Array.from(
        { length: locations },
        (_, i) => [`l${String(i).padStart(2, '0')}`, 2] as const,
      );
      const world = calm({ locations: Object.fromEntries(names) });
      const before = world.probes;
      world.run(10_000);
      return (world.probes - before) / locations;
    };
    expect(count(40)).toBeLessThanOrEqual(count(8) * 1.05);
  });
});

describe('the rule of claims', () => {
  const claim = fc.record({
    segment: fc.constantFrom('location:eu', 'location:us', 'location:'),
    generation: fc.nat(3),
    times: fc.nat(3),
    since: fc.constant(1),
    instead: fc.constant('x'),
    why: fc.constantFrom('silent' as const, 'grey' as const, 'first' as const),
  });
  const cluster = fc
    .array(
      fc.record({
        location: fc.constantFrom('eu', 'us'),
        isPublic: fc.boolean(),
        leader: fc.boolean(),
        knows: fc.oneof({ arbitrary: fc.constant(true), weight: 20 }, fc.constant(false)),
        claim: fc.option(claim, { nil: undefined }),
      }),
      { minLength: 1, maxLength: 9 },
    )
    .map((shapes) =>
      shapes.map(
        (shape, i): Node => ({
          ...node({
            name: `n${i}`,
            location: shape.location,
            endpoint: shape.isPublic ? `203.0.113.${i}:1` : `10.0.0.${i}:1`,
            internalIP: `10.0.0.${i}/24`,
            podCIDR: `10.42.${i}.0/24`,
            leader: shape.leader,
          }),
          ...(shape.knows ? { abilities: new Set(['kilowire', 'leader-failover'] as const) } : {}),
          ...(shape.claim === undefined ? {} : { leaderClaim: shape.claim }),
        }),
      ),
    );
  const leaders = (hostname: string, nodes: readonly Node[]) =>
    lookFrom(hostname, 'location', { nodes }).segments.map(
      ({ location, leader }) => `${location} ${leader.name}`,
    );

  it('is the same for everybody, in whatever order the nodes are heard of', () => {
    fc.assert(
      fc.property(cluster, fc.func(fc.nat()), (nodes, order) => {
        const [first = ''] = nodes.map(({ name }) => name);
        const expected = leaders(first, nodes);
        const shuffled = nodes.toSorted((a, b) => order(a.name) - order(b.name));
        for (const { name } of nodes) expect(leaders(name, shuffled)).toEqual(expected);
      }),
    );
  });

  it("is Kilo's where somebody does not know it, and where nobody claims", () => {
    fc.assert(
      fc.property(cluster, (nodes) => {
        const all = nodes.every(({ abilities }) => abilities !== undefined);
        const unclaimed = nodes.map(({ leaderClaim: _, ...rest }) => rest);
        const counted = nodes.some((each) => each.leaderClaim?.segment === `location:${each.location}`);
        if (all && counted) return;
        expect(leaders('n0', nodes)).toEqual(leaders('n0', unclaimed));
      }),
    );
  });

  it('lets the highest claim of the segment win, and among equal ones who would lead first', () => {
    const member = (name: string, more: Partial<LeaderClaim> | null, isPublic = false): ReadyNode =>
      ({
        ...node({ name, endpoint: isPublic ? '8.8.8.8:1' : '10.0.0.1:1', podCIDR: '10.42.0.0/24' }),
        ...(more === null
          ? {}
          : {
              leaderClaim: {
                segment: 's',
                generation: 1,
                times: 1,
                since: 0,
                instead: '',
                why: 'silent',
                ...more,
              },
            }),
      }) as ReadyNode;
    const a = member('a', null, true);
    const b = member('b', { generation: 2 });
    const c = member('c', { generation: 3, segment: 'elsewhere' });
    const d = member('d', { generation: 2 }, true);
    expect(electLeader([a, b, c], 's').name).toBe('b');
    expect(electLeader([a, b, c, d], 's').name).toBe('d');
    expect(electLeader([a, c], 's').name).toBe('a');
    expect(electLeader([a, b, c, d]).name).toBe('a');
    expect(claimsOf([a, b, c, d], 's').map(({ node: { name } }) => name)).toEqual(['d', 'b']);
  });
});
