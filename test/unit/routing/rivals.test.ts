/**
 * Two nodes with one thing: the one that was here first keeps it, and all agents see it alike.
 * @module
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cidr } from '../../../src/noise/ip.ts';
import type { Ability, Node } from '../../../src/routing/node.ts';
import { buildTopology } from '../../../src/routing/topology.ts';
import { keyOf, NOW, node, peer, SUBNET } from './clusters.ts';

const OURS: ReadonlySet<Ability> = new Set(['kilowire']);
const make = (name: string, createdAt: number, more: Partial<Node> = {}): Node => ({
  ...node({ name, endpoint: `203.0.113.${createdAt}:1`, podCIDR: `10.42.${createdAt}.0/24` }),
  abilities: OURS,
  createdAt,
  ...more,
});
const see = (nodes: Node[], granularity: 'full' | 'location' = 'full') => {
  const topology = buildTopology({ nodes, peers: [], now: NOW }, { granularity, subnet: SUBNET });
  return {
    members: topology.segments.flatMap(({ members }) => members.map(({ name }) => name)),
    problems: topology.problems.map(({ code, subject }) => `${code} ${subject.name}`),
    messages: topology.problems.map(({ message }) => message),
  };
};
const pods = (...texts: string[]) => ({ podCIDRs: texts.map(cidr) });

describe('of two nodes', () => {
  test('with one pod CIDR the older stays, the other is left out and told why', () => {
    const nodes = [make('a', 9, pods('10.42.1.0/24')), make('b', 1), make('c', 3)];
    expect(see(nodes)).toEqual({
      members: ['b', 'c'],
      problems: ['pod-cidr-repeated a'],
      messages: ['Node "a" is left out: its pod CIDR 10.42.1.0/24 is that of "b", which was here before.'],
    });
    const view = { nodes, peers: [], now: NOW };
    expect(() => buildTopology(view, { granularity: 'full', subnet: SUBNET, hostname: 'a' })).toThrow(
      /left out: its pod CIDR/,
    );
  });

  test('with ranges that lie in each other, too, whichever is the larger', () => {
    expect(see([make('a', 9, pods('10.42.0.0/16')), make('b', 1)]).problems).toEqual(['pod-cidr-repeated a']);
    expect(see([make('a', 1, pods('10.42.0.0/16')), make('b', 9)]).problems).toEqual(['pod-cidr-repeated b']);
    expect(
      see([
        make('a', 1, pods('10.42.1.0/24', 'fd00:1::/64')),
        make('b', 9, pods('10.42.9.0/24', 'fd00:1::/64')),
      ]).problems,
    ).toEqual(['pod-cidr-repeated b']);
  });

  test('with one key the older stays', () => {
    expect(see([make('a', 9, { key: keyOf('b') }), make('b', 1)])).toMatchObject({
      members: ['b'],
      problems: ['key-repeated a'],
    });
  });

  test('of one age, or of none, the first by name stays', () => {
    expect(see([make('b', 1), make('a', 1)]).problems).toEqual(['pod-cidr-repeated b']);
  });

  test('one that is left out for another costs a third nothing', () => {
    // c meets b, which is out because of a.
    const nodes = [
      make('a', 1, pods('10.42.1.0/24')),
      make('b', 2, pods('10.42.1.0/24', '10.42.2.0/24')),
      make('c', 3, pods('10.42.2.0/24')),
    ];
    expect(see(nodes)).toMatchObject({ members: ['a', 'c'], problems: ['pod-cidr-repeated b'] });
  });

  test('at one private address in one location both stay, and the younger is told', () => {
    const at = { location: 'eu', internalIP: cidr('10.0.0.5/24') };
    const nodes = [make('a', 2, at), make('b', 1, at), make('c', 3, { ...at, location: 'us' })];
    const { members, problems } = see(nodes, 'location');
    expect(members).toEqual(['a', 'b', 'c']);
    expect(problems).toContain('private-address-repeated a');
    expect(problems.filter((each) => each.startsWith('private-address'))).toHaveLength(1);
  });

  test('that are dialled at one endpoint the younger is told; two ports are two endpoints', () => {
    const here = make('a', 1).endpoint!;
    expect(see([make('a', 1), make('b', 2, { endpoint: here })]).problems).toEqual(['endpoint-repeated b']);
    expect(see([make('a', 1), make('b', 2, { endpoint: { ...here, port: 2 } })]).problems).toEqual([]);
  });

  test("none is left out while an agent of Kilo is in the mesh, where the last one's tunnel gets the packets", () => {
    const { abilities: _, ...kilo } = make('z', 5);
    const { members, problems } = see([make('a', 9, pods('10.42.1.0/24')), make('b', 1), kilo]);
    expect(members).toEqual(['a', 'b', 'z']);
    expect(problems).toEqual(['network-claimed-twice node:a']);
  });
});

describe('ranges with host bits', () => {
  test('are taken as their network, and told', () => {
    const nodes = [make('a', 1, { allowedLocationIPs: [cidr('192.168.1.7/24')] })];
    const peers = [peer('laptop', ['10.5.0.1/32', '10.6.0.9/16'])];
    const { problems } = buildTopology({ nodes, peers, now: NOW }, { granularity: 'full', subnet: SUBNET });
    expect(problems.map(({ message }) => message)).toEqual([
      '192.168.1.7/24 of node "a" is taken as 192.168.1.0/24: only a network can be routed.',
      '10.6.0.9/16 of Peer "laptop" is taken as 10.6.0.0/16: only a network can be routed.',
    ]);
  });
});

test('whoever is left, no two have a key or a pod in common, and the oldest is always among them', () => {
  const any = fc.array(
    fc.record({
      age: fc.option(fc.integer({ min: 1, max: 4 })),
      key: fc.constantFrom('k1', 'k2', 'k3', 'k4', 'k5', 'k6'),
      range: fc.constantFrom(
        '10.42.0.0/22',
        '10.42.1.0/24',
        '10.42.2.0/24',
        '10.42.2.128/25',
        '10.42.8.0/24',
      ),
    }),
    { minLength: 1, maxLength: 7 },
  );
  fc.assert(
    fc.property(any, (shapes) => {
      const nodes = shapes.map(({ age, key, range }, i): Node => {
        const { createdAt: _, ...rest }: Node = make(`n${i}`, 1, { key: keyOf(key), ...pods(range) });
        return age === null ? rest : { ...rest, createdAt: age };
      });
      const { members } = see(nodes);
      expect(see(nodes.toReversed()).members).toEqual(members);
      const left = nodes.filter(({ name }) => members.includes(name));
      expect(new Set(left.map(({ key }) => key)).size).toBe(left.length);
      const bits = (range: string) => {
        const [base = '', length = '0'] = range.split('/');
        const number = base.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
        return { from: number, to: number + 2 ** (32 - Number(length)) };
      };
      const spans = shapes.filter((_, i) => members.includes(`n${i}`)).map(({ range }) => bits(range));
      for (const [i, a] of spans.entries())
        for (const b of spans.slice(i + 1)) expect(a.to <= b.from || b.to <= a.from).toBe(true);
      const ages = nodes.map(({ createdAt = 99 }) => createdAt);
      const oldest = nodes[ages.indexOf(Math.min(...ages))]!;
      expect(members).toContain(oldest.name);
    }),
    { numRuns: 300 },
  );
});
