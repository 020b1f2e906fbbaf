/**
 * Mesh addresses that stay: what is published is kept, what is new gets what is free, and agents agree whoever heard what first.
 * @module
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Cidr, cidr, contains, formatAddress, parseAddress } from '../../../src/noise/ip.ts';
import type { Ability, Granularity, Node } from '../../../src/routing/node.ts';
import { buildTopology, type Topology } from '../../../src/routing/topology.ts';
import { anyGranularity, soundCluster } from './any-cluster.ts';
import { lookFrom, NOW, node, SUBNET } from './clusters.ts';

const KEEPS: ReadonlySet<Ability> = new Set(['kilowire', 'stable-addresses']);
const keeping = (nodes: readonly Node[]): Node[] => nodes.map((each) => ({ ...each, abilities: KEEPS }));

const look = (nodes: readonly Node[], granularity: Granularity = 'full', subnet: Cidr = SUBNET): Topology =>
  buildTopology({ nodes, peers: [], now: NOW }, { granularity, subnet });

const addresses = (topology: Topology): Record<string, string> =>
  Object.fromEntries(
    topology.segments.map(({ location, wireguardIP }) => [location, formatAddress(wireguardIP)]),
  );

/** What the agent of one node would publish of it. */
const said = (topology: Topology, name: string): Pick<Node, 'stableAddress'> => {
  const segment = topology.segments.find(({ members }) => members.some((member) => member.name === name));
  return segment === undefined
    ? {}
    : { stableAddress: { segment: segment.location, address: segment.wireguardIP } };
};

const published = (nodes: readonly Node[], granularity: Granularity = 'full', subnet?: Cidr): Node[] => {
  const topology = look(nodes, granularity, subnet);
  return nodes.map((each) => ({ ...each, ...said(topology, each.name) }));
};

const podsOf = (name: string): string =>
  `10.42.${(name.codePointAt(0) ?? 0) + Number(name.slice(1) || 0)}.0/24`;
const plain = (name: string, more: Partial<Node> = {}): Node => ({
  ...node({ name, endpoint: `203.0.113.1:${name.codePointAt(0)}`, podCIDR: podsOf(name) }),
  abilities: KEEPS,
  ...more,
});
const silent = { lastSeen: NOW - 600 };
const claim = (segment: string, text: string): Pick<Node, 'stableAddress'> => ({
  stableAddress: { segment, address: parseAddress(text)! },
});

describe('kept addresses', () => {
  test('begin as Kilo counts', () => {
    fc.assert(
      fc.property(soundCluster, anyGranularity, ({ nodes }, granularity) => {
        expect(addresses(look(keeping(nodes), granularity))).toEqual(addresses(look(nodes, granularity)));
      }),
    );
  });

  test('stay when segments come and go', () => {
    const three = published([plain('b'), plain('d'), plain('f')]);
    expect(addresses(look(three))).toEqual({
      'node:b': '10.4.0.1',
      'node:d': '10.4.0.2',
      'node:f': '10.4.0.3',
    });
    expect(addresses(look([plain('a'), ...three, plain('e')]))).toEqual({
      'node:a': '10.4.0.4',
      'node:b': '10.4.0.1',
      'node:d': '10.4.0.2',
      'node:e': '10.4.0.5',
      'node:f': '10.4.0.3',
    });
    // Whose Node is gone for good leaves a place, whose Node is silent keeps it.
    expect(addresses(look([plain('a'), ...three.slice(1)]))['node:a']).toBe('10.4.0.1');
    const withSilent = [plain('a'), { ...three[0]!, ...silent }, ...three.slice(1)];
    expect(addresses(look(withSilent))['node:a']).toBe('10.4.0.4');
  });

  test('stay for whatever joins, leaves or falls silent', () => {
    const change = fc.constantFrom('stays', 'leaves', 'silent', 'joins');
    fc.assert(
      fc.property(
        soundCluster.chain(({ nodes }) =>
          fc.tuple(
            fc.constant(nodes),
            fc.array(change, { minLength: nodes.length, maxLength: nodes.length }),
          ),
        ),
        anyGranularity,
        ([nodes, changes], granularity) => {
          const here = nodes.filter((_, i) => changes[i] !== 'joins');
          if (here.length === 0) return;
          const before = published(keeping(here), granularity);
          const after = nodes.flatMap((each, i) => {
            const known = before.find(({ name }) => name === each.name);
            if (changes[i] === 'leaves') return [];
            if (changes[i] === 'silent') return known === undefined ? [] : [{ ...known, ...silent }];
            return [known ?? { ...each, abilities: KEEPS }];
          });
          if (after.every(({ lastSeen }) => lastSeen !== NOW)) return;
          const [then, now] = [addresses(look(before, granularity)), addresses(look(after, granularity))];
          const spokenOf = new Set(after.flatMap(({ stableAddress }) => stableAddress?.segment ?? []));
          for (const [segment, address] of Object.entries(now))
            if (spokenOf.has(segment)) expect([segment, address]).toEqual([segment, then[segment]]);
        },
      ),
      { numRuns: 300 },
    );
  });

  test('follow the segment when another node leads it', () => {
    const inEu = (name: string, more: Partial<Node> = {}) =>
      plain(name, { location: 'eu', internalIP: cidr('10.0.0.1/24'), ...more });
    const before = published([inEu('b'), inEu('c'), plain('z', { location: 'us' })], 'location');
    const [b, c, z] = before as [Node, Node, Node];
    const dead = look([{ ...b, ...silent }, c, z], 'location');
    expect(dead.segments[0]?.leader.name).toBe('c');
    expect(addresses(dead)).toEqual(addresses(look(before, 'location')));
    // One that is new and leads at once has published nothing yet.
    const taken = look([inEu('a'), b, c, z], 'location');
    expect(taken.segments[0]?.leader.name).toBe('a');
    expect(addresses(taken)).toEqual(addresses(look(before, 'location')));
  });

  test('of one that moves to another location do not move along', () => {
    const nodes = ['a', 'b', 'c'].map((name) =>
      plain(name, { location: name, internalIP: cidr('10.0.0.1/24') }),
    );
    const [a, b, c] = published(nodes, 'location') as [Node, Node, Node];
    const moved = look([{ ...b, location: 'a2' }, a, c], 'location');
    expect(addresses(moved)).toEqual({
      'location:a': '10.4.0.1',
      'location:a2': '10.4.0.2',
      'location:c': '10.4.0.3',
    });
    const joined = look([a, { ...b, location: 'a' }, c], 'location');
    expect(addresses(joined)).toEqual({ 'location:a': '10.4.0.1', 'location:c': '10.4.0.3' });
  });

  test('are those that Kilo gave when a cluster comes from it', () => {
    const nodes = ['b', 'c'].map((name, i) => plain(name, { wireguardIP: cidr(`10.4.0.${i + 7}/16`) }));
    expect(addresses(look([plain('a'), ...nodes]))).toEqual({
      'node:a': '10.4.0.1',
      'node:b': '10.4.0.7',
      'node:c': '10.4.0.8',
    });
  });

  test('that two have are kept by the first by name; a published one goes before one of Kilo', () => {
    const two = [plain('a', claim('node:a', '10.4.0.9')), plain('b', claim('node:b', '10.4.0.9'))];
    expect(addresses(look(two))).toEqual({ 'node:a': '10.4.0.9', 'node:b': '10.4.0.1' });
    const kilo = [plain('a', { wireguardIP: cidr('10.4.0.9/16') }), plain('b', claim('node:b', '10.4.0.9'))];
    expect(addresses(look(kilo))).toEqual({ 'node:a': '10.4.0.1', 'node:b': '10.4.0.9' });
  });

  test('outside the pool, its base, and of another family are none', () => {
    const bad = ['10.5.0.1', '10.4.0.0', 'fd00::1'].map((text, i) =>
      plain(`n${i}`, claim(`node:n${i}`, text)),
    );
    expect(Object.values(addresses(look(bad)))).toEqual(['10.4.0.1', '10.4.0.2', '10.4.0.3']);
  });

  test('of those that are away are given out last', () => {
    const small = cidr('10.4.0.0/30');
    const away = plain('a', { ...claim('node:a', '10.4.0.1'), ...silent });
    const nodes = [away, plain('b'), plain('c')];
    expect(addresses(look(nodes, 'full', small))).toEqual({ 'node:b': '10.4.0.2', 'node:c': '10.4.0.3' });
    expect(addresses(look([...nodes, plain('d')], 'full', small))['node:d']).toBe('10.4.0.1');
    const full = look([...nodes, plain('d'), plain('e')], 'full', small);
    expect(full.problems.map(({ code, subject }) => `${code} ${subject.name}`)).toContain(
      'subnet-exhausted node:e',
    );
  });

  test('give way to Kilo’s count while one node does not keep them, and that one is told', () => {
    const kept = published([plain('b', claim('node:b', '10.4.0.9'))]);
    const { abilities: _, ...kilo } = plain('a');
    const topology = look([kilo, ...kept]);
    expect(addresses(topology)).toEqual({ 'node:a': '10.4.0.1', 'node:b': '10.4.0.2' });
    expect(topology.problems.map(({ code, subject }) => `${code} ${subject.name}`)).toContain(
      'addresses-not-kept a',
    );
    // A silent one does not count.
    expect(addresses(look([{ ...kilo, ...silent }, ...kept]))).toEqual({ 'node:b': '10.4.0.9' });
  });
});

/** Clusters with whatever claims: of the right segment or another, twice, outside the pool, by silent nodes. */
const claimants = fc
  .tuple(
    soundCluster,
    fc.array(
      fc.record({
        silent: fc.boolean(),
        own: fc.boolean(),
        number: fc.option(fc.integer({ min: 0, max: 9 })),
        kilo: fc.option(fc.integer({ min: 0, max: 9 })),
      }),
      { minLength: 12, maxLength: 12 },
    ),
    anyGranularity,
  )
  .map(([{ nodes }, claims, granularity]) => {
    const segmentOf = new Map(
      look(nodes, granularity).segments.flatMap(({ location, members }) =>
        members.map(({ name }) => [name, location] as const),
      ),
    );
    return {
      granularity,
      nodes: keeping(nodes).map((each, i): Node => {
        const { number, kilo, own, silent: quiet } = claims[i]!;
        return {
          ...each,
          ...(quiet && i > 0 ? silent : {}),
          ...(number === null
            ? {}
            : claim(own ? (segmentOf.get(each.name) ?? '') : 'location:eu', `10.4.0.${number}`)),
          ...(kilo === null ? {} : { wireguardIP: cidr(`10.4.0.${kilo}/16`) }),
        };
      }),
    };
  });

describe('agents agree', () => {
  test('from every node, whatever was published, in whatever order they heard of it', () => {
    fc.assert(
      fc.property(
        claimants.chain((each) =>
          fc.tuple(fc.constant(each), fc.shuffledSubarray(each.nodes, { minLength: each.nodes.length })),
        ),
        ([{ nodes, granularity }, shuffled]) => {
          const first = look(nodes, granularity);
          const values = Object.values(addresses(first));
          expect(new Set(values).size).toBe(values.length);
          for (const { wireguardIP } of first.segments) expect(contains(SUBNET, wireguardIP)).toBe(true);
          for (const { name, lastSeen } of nodes)
            if (lastSeen === NOW)
              expect(addresses(lookFrom(name, granularity, { nodes: shuffled }))).toEqual(addresses(first));
        },
      ),
      { numRuns: 300 },
    );
  });

  test('while they publish one by one: nobody moves any more', () => {
    fc.assert(
      fc.property(
        claimants.chain((each) =>
          fc.tuple(
            fc.constant(each),
            fc.shuffledSubarray(
              each.nodes.map(({ name }) => name),
              { minLength: each.nodes.length },
            ),
          ),
        ),
        ([{ nodes, granularity }, order]) => {
          const want = addresses(look(nodes, granularity));
          let view: readonly Node[] = nodes;
          for (const name of order) {
            const topology = look(view, granularity);
            view = view.map((each) => (each.name === name ? { ...each, ...said(topology, name) } : each));
            expect(addresses(look(view, granularity))).toEqual(want);
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});
