/**
 * Who passes on what two segments send that do not reach each other. Expected values are the rules of docs/topology.md.
 * @module
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatCidr } from '../../../src/noise/ip.ts';
import { toDot } from '../../../src/routing/dot.ts';
import { keyText } from '../../../src/routing/key-text.ts';
import { toMermaid } from '../../../src/routing/mermaid.ts';
import { meshJson } from '../../../src/routing/mesh-json.ts';
import { desiredFilter } from '../../../src/routing/nat.ts';
import type { Ability, Granularity, Node } from '../../../src/routing/node.ts';
import { tracePacket } from '../../../src/routing/packet-path.ts';
import { showNode } from '../../../src/routing/peer-config.ts';
import { probePlan } from '../../../src/routing/probe-plan.ts';
import { publishedUnreached, type UnreachedSegments } from '../../../src/routing/relays.ts';
import { desiredRoutes } from '../../../src/routing/routes.ts';
import { toSvg } from '../../../src/routing/svg.ts';
import type { Topology } from '../../../src/routing/topology.ts';
import { wireguardConfig } from '../../../src/routing/wireguard-config.ts';
import { lookFrom, node, planText } from './clusters.ts';

const OURS: ReadonlySet<Ability> = new Set(['kilowire', 'leader-failover', 'relay']);
const OLDER: ReadonlySet<Ability> = new Set(['kilowire', 'leader-failover']);

interface Place {
  /** Of which it says that it does not reach them; with `:RELAY` for a relay that is in use. */
  readonly unreached?: readonly string[];
  readonly relay?: boolean;
  readonly abilities?: ReadonlySet<Ability> | null;
  readonly members?: number;
  readonly isPublic?: boolean;
}

const unreachedOf = (words: readonly string[]): UnreachedSegments =>
  new Map(
    words.map((word, index) => {
      const [name = '', relay] = word.split(':');
      const through = relay === undefined ? {} : { relay: `location:${relay}` };
      return [`location:${name}`, { since: 100 + index, ...through }];
    }),
  );

/** A location each, of one node `NAME-0` or several; pods 10.42.N.0/24 of the leader, 10.43.N.0/24 of the next. */
const cluster = (places: Readonly<Record<string, Place>>): { nodes: Node[] } => ({
  nodes: Object.entries(places).flatMap(([name, place], number) => {
    const { unreached, relay, abilities = OURS, members = 1, isPublic = true } = place;
    return Array.from({ length: members }, (_, index): Node => {
      const { abilities: _none, ...record } = node({
        name: `${name}-${index}`,
        location: name,
        endpoint:
          isPublic && index === 0
            ? `203.0.113.${number + 1}:51820`
            : `10.${number + 100}.0.${index + 1}:51820`,
        internalIP: `10.${number + 100}.0.${index + 1}/24`,
        podCIDR: `10.${42 + index}.${number}.0/24`,
      });
      return {
        ...record,
        ...(abilities === null ? {} : { abilities }),
        ...(unreached !== undefined && index === 0 ? { unreached: unreachedOf(unreached) } : {}),
        ...(relay !== undefined && index === members - 1 ? { relay } : {}),
      };
    });
  }),
});

const see = (places: Readonly<Record<string, Place>>, from?: string): Topology =>
  lookFrom(from ?? `${Object.keys(places)[0]}-0`, 'location', cluster(places));

const pairs = ({ apart }: Topology): string[] =>
  apart.map(({ ends, relay }) =>
    [...ends, relay].map((segment) => segment?.location.replace('location:', '') ?? 'nobody').join(' '),
  );

const allowed = (topology: Topology): Record<string, string> =>
  Object.fromEntries(
    (wireguardConfig(topology)?.peers ?? []).map(({ publicKey, allowedIps, persistentKeepalive }) => [
      topology.segments.find(({ leader }) => leader.key === keyText(publicKey))?.leader.name ?? '',
      [...allowedIps.map(formatCidr), `keepalive ${persistentKeepalive}`].join(' '),
    ]),
  );

const APART = { a: { unreached: ['b'] }, b: { unreached: ['a'] } } as const;

describe('two segments', () => {
  it.each<[string, Readonly<Record<string, Place>>, string[]]>([
    ['that reach each other have no relay', { a: {}, b: {}, c: {} }, []],
    ['of which one alone says otherwise have none', { a: { unreached: ['b'] }, b: {}, c: {} }, []],
    ['that both say so go through the third', { ...APART, c: {} }, ['a b c']],
    ['without a third stay apart', { ...APART }, ['a b nobody']],
    ['go past one that doubts an end', { ...APART, c: { unreached: ['a'] }, d: {} }, ['a b d']],
    [
      'go past one that an end doubts',
      { a: { unreached: ['b', 'c'] }, b: { unreached: ['a'] }, c: {}, d: {} },
      ['a b d'],
    ],
    ['go past one whose owner forbids it', { ...APART, c: { relay: false }, d: {} }, ['a b d']],
    [
      'go past one where it is forbidden on a member that does not lead',
      { ...APART, c: { relay: false, members: 2 }, d: {} },
      ['a b d'],
    ],
    ['stay apart when everybody forbids it', { ...APART, c: { relay: false } }, ['a b nobody']],
    ['go through the one that is offered', { ...APART, c: {}, d: {}, e: { relay: true } }, ['a b e']],
    [
      'leave the one in use for one that is offered',
      { a: { unreached: ['b:c'] }, b: { unreached: ['a:c'] }, c: {}, d: { relay: true } },
      ['a b d'],
    ],
    [
      'rather go through one with a public endpoint',
      { ...APART, c: { isPublic: false }, d: { isPublic: false }, e: {} },
      ['a b e'],
    ],
    ['go through one without, if there is no other', { ...APART, c: { isPublic: false } }, ['a b c']],
    [
      'stay with the one in use, as the first end has it',
      { a: { unreached: ['b:e'] }, b: { unreached: ['a:d'] }, c: {}, d: {}, e: {}, f: {} },
      ['a b e'],
    ],
    [
      'leave one in use that is no way any more',
      { a: { unreached: ['b:e'] }, b: { unreached: ['a:e'] }, c: {}, e: { relay: false } },
      ['a b c'],
    ],
    ['never go through an agent that knows no relays', { ...APART, c: { abilities: OLDER } }, ['a b nobody']],
    ["never go through Kilo's agent", { ...APART, c: { abilities: null } }, ['a b nobody']],
    [
      "are none of ours when Kilo's agent leads one",
      { a: { unreached: ['b'] }, b: { unreached: ['a'], abilities: null }, c: {} },
      [],
    ],
    [
      'go through a third although Kilo has nodes elsewhere',
      { ...APART, c: {}, d: { abilities: null } },
      ['a b c'],
    ],
    [
      'each have their own, also when three are apart from each other',
      {
        a: { unreached: ['b', 'c'] },
        b: { unreached: ['a', 'c'] },
        c: { unreached: ['a', 'b'] },
        d: {},
      },
      ['a b d', 'a c d', 'b c d'],
    ],
  ])('%s', (_, places, expected) => {
    for (const { name } of cluster(places).nodes) expect(pairs(see(places, name))).toEqual(expected);
  });

  it('of which one has another leader keep their relay, by the word of the leader before', () => {
    const claim = {
      segment: 'location:a',
      generation: 1,
      times: 1,
      since: 1,
      instead: 'a-0',
      why: 'silent',
    } as const;
    const withSuccessor = (more: Partial<Node>): { nodes: Node[] } => ({
      nodes: cluster({ a: { unreached: ['b'], members: 2 }, b: { unreached: ['a'] }, c: {} }).nodes.map(
        (each) => (each.name === 'a-1' ? { ...each, leaderClaim: claim, ...more } : each),
      ),
    });
    const topology = lookFrom('a-1', 'location', withSuccessor({}));
    expect(topology.segment.leader.name).toBe('a-1');
    expect(pairs(topology)).toEqual(['a b c']);
    // Once it has judged itself, that counts, also when it finds nothing.
    const own = publishedUnreached(topology, new Map());
    expect(own).toEqual(new Map());
    expect(pairs(lookFrom('a-1', 'location', withSuccessor({ unreached: own ?? new Map() })))).toEqual([]);
  });

  it('are spread over several relays', () => {
    const homes = Array.from({ length: 12 }, (_, i) => `h${i}`);
    const places = Object.fromEntries([
      ...homes.map((name) => [name, { unreached: homes.filter((other) => other !== name), isPublic: false }]),
      ...['p', 'q', 'r'].map((name) => [name, {}]),
    ]);
    const relays = pairs(see(places)).map((text) => text.split(' ').at(-1) ?? '');
    expect(relays).toHaveLength(66);
    const counts = ['p', 'q', 'r'].map((name) => relays.filter((relay) => relay === name).length);
    expect(Math.min(...counts)).toBeGreaterThan(8);
  });
});

const of = (nodes: readonly Node[], name: string): Node => {
  const found = nodes.find((each) => each.name === name);
  if (found === undefined) throw new Error(name);
  return found;
};

describe('with a relay', () => {
  const places = { ...APART, c: {} };

  it('its peer has the networks of the other end, whose own has none and is dialled on', () => {
    expect(allowed(see(places, 'a-0'))).toEqual({
      'b-0': 'keepalive 25',
      'c-0': '10.42.2.0/24 10.102.0.1/32 10.4.0.3/32 10.42.1.0/24 10.101.0.1/32 10.4.0.2/32 keepalive 25',
    });
    expect(allowed(see(places, 'b-0'))).toEqual({
      'a-0': 'keepalive 25',
      'c-0': '10.42.2.0/24 10.102.0.1/32 10.4.0.3/32 10.42.0.0/24 10.100.0.1/32 10.4.0.1/32 keepalive 25',
    });
  });

  it('the relay has what it had, and so have routes', () => {
    const without = { a: {}, b: {}, c: {} };
    expect(wireguardConfig(see(places, 'c-0'))).toEqual(wireguardConfig(see(without, 'c-0')));
    const links = { wireguard: 'kilo0', private: 'eth0', tunnel: 'tunl0' };
    for (const name of ['a-0', 'b-0', 'c-0'])
      expect(planText(desiredRoutes(see(places, name), { links }))).toEqual(
        planText(desiredRoutes(see(without, name), { links })),
      );
  });

  it('routes have the MTU of the way to the relay, which tells what carries less beyond it', () => {
    const links = { wireguard: 'kilo0', private: 'eth0', tunnel: 'tunl0' };
    const tunnelMtu = (claimant: object) =>
      'leader' in claimant && (claimant.leader as Node).name === 'c-0' ? 1300 : undefined;
    const { routes } = desiredRoutes(see(places, 'a-0'), { links, tunnelMtu });
    const mtuOf = (range: string) => routes.find((route) => formatCidr(route.destination) === range)?.mtu;
    expect([mtuOf('10.42.1.0/24'), mtuOf('10.42.2.0/24')]).toEqual([1300, 1300]);
  });

  it('the relay accepts what it passes on, where FORWARD drops', () => {
    const rules = desiredFilter(see(places, 'c-0'), { forwardRules: true }).prepend.filter(
      ({ comment }) => comment === 'Kilo: forward packets from relayed segments',
    );
    expect(rules.map(({ source }) => source && formatCidr(source))).toEqual([
      '10.42.0.0/24',
      '10.100.0.1/32',
      '10.4.0.1/32',
      '10.42.1.0/24',
      '10.101.0.1/32',
      '10.4.0.2/32',
    ]);
    expect(
      desiredFilter(see(places, 'a-0'), { forwardRules: true }).prepend.some(({ comment }) =>
        comment.includes('relayed'),
      ),
    ).toBe(false);
  });

  it('a packet goes by two tunnels, there and back', () => {
    const view = (name: string) => see(places, name);
    const options = { links: { wireguard: 'kilo0', private: 'eth0', tunnel: 'tunl0' }, underlayMtu: 1500 };
    for (const [from, to, way] of [
      [0, 1, ['a-0 c-0', 'c-0 b-0']],
      [1, 0, ['b-0 c-0', 'c-0 a-0']],
    ] as const) {
      const packet = {
        source: Uint8Array.of(10, 42, from, 9),
        destination: Uint8Array.of(10, 42, to, 9),
      };
      const origin = { kind: 'node', name: `${'ab'[from]}-0` } as const;
      const { hops, end } = tracePacket(view, view('a-0'), origin, packet, options);
      expect(hops.map((hop) => `${hop.at} ${hop.to}`)).toEqual(way);
      expect(hops.every(({ by }) => by === 'tunnel')).toBe(true);
      expect(end).toMatchObject({ kind: 'pod', at: `${'ab'[to]}-0` });
    }
  });

  it('showconf prints what the device has', () => {
    const text = showNode(see(places, 'a-0')) ?? '';
    expect(text).toContain(
      'AllowedIPs = 10.42.2.0/24, 10.102.0.1/32, 10.4.0.3/32, 10.42.1.0/24, 10.101.0.1/32, 10.4.0.2/32',
    );
    expect(text.match(/AllowedIPs/g)).toHaveLength(1);
    expect(text.match(/PersistentKeepalive = 25/g)).toHaveLength(2);
  });

  it('pictures show it, and no tunnel in its place', () => {
    const topology = see(places);
    expect(toDot(topology)).toContain('"a-0"->"b-0"[ dir=both, style=dotted, label="through c-0" ];');
    expect(toMermaid(topology)).toContain('n0 -. "through c-0" .- n1');
    expect(toSvg(topology)).toContain('<title>a-0 ↔ b-0 through c-0</title>');
    expect(toSvg(topology)).toContain('2 tunnels');
    expect(meshJson(topology)).toMatchObject({
      tunnels: [
        ['a-0', 'c-0'],
        ['b-0', 'c-0'],
      ],
      relayed: [{ between: ['a-0', 'b-0'], relay: 'c-0', since: 100 }],
    });
  });

  it('problems name it once for each leader', () => {
    const told = (topology: Topology): string[] =>
      topology.problems.map(({ code, message }) => `${code} ${message}`);
    expect(told(see(places))).toEqual([
      'relayed "a-0" has no tunnel of its own with others, and reaches "b-0" through "c-0".',
    ]);
    expect(told(see(APART))).toEqual([
      'no-relay "a-0" does not reach "b-0", and nobody may pass on what they send who reaches both.',
    ]);
  });

  it('nobody blames a leader for what a relay loses', () => {
    const two = {
      a: { unreached: ['b'], members: 2 },
      b: { unreached: ['a'], members: 2 },
      c: { members: 2 },
    };
    expect(probePlan(see(two, 'b-0')).outside.map(({ leader }) => leader)).toEqual(['c-0']);
    expect(probePlan(see(two, 'a-1')).inside).toMatchObject({ observers: ['c-0'], beyond: ['10.4.0.3'] });
  });
});

describe('what a leader publishes', () => {
  it('has the relay in use, so that it stays in use when another comes', () => {
    const before = { ...APART, d: {} };
    const topology = see(before);
    const words = publishedUnreached(topology, new Map([['location:b', 100]]));
    expect(words).toEqual(new Map([['location:b', { since: 100, relay: 'location:d' }]]));
    for (const later of ['c', 'e', 'f', 'g']) {
      const { nodes } = cluster({ ...before, [later]: {} });
      const told = nodes.map((each) =>
        each.name === 'a-0' ? { ...each, unreached: words ?? new Map() } : each,
      );
      expect(pairs(lookFrom('a-0', 'location', { nodes: told }))).toEqual(['a b d']);
    }
  });

  it('is nothing where nothing is wrong, and from who does not lead', () => {
    expect(publishedUnreached(see({ a: {}, b: {}, c: {} }), new Map())).toBeNull();
    const follower = see({ a: { members: 2 }, b: {}, c: {} }, 'a-1');
    expect(publishedUnreached(follower, new Map([['location:b', 1]]))).toBeNull();
  });
});

describe('in any mesh', () => {
  const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
  const anyPlaces = fc
    .array(
      fc.record({
        unreached: fc.uniqueArray(
          fc
            .tuple(fc.constantFrom(...names), fc.option(fc.constantFrom(...names)))
            .map(([name, relay]) => (relay === null ? name : `${name}:${relay}`)),
          { selector: (word) => word.charAt(0), maxLength: 6 },
        ),
        relay: fc.constantFrom(undefined, undefined, undefined, true, false),
        abilities: fc.constantFrom<ReadonlySet<Ability> | null>(OURS, OURS, OURS, OURS, OLDER, null),
        members: fc.constantFrom(1, 1, 2),
        isPublic: fc.boolean(),
      }),
      { minLength: 2, maxLength: names.length },
    )
    .map((list) =>
      Object.fromEntries(
        list.map(({ relay, ...place }, i) => [
          names[i] ?? '',
          relay === undefined ? place : { ...place, relay },
        ]),
      ),
    );
  const anyGranularity = fc.constantFrom<Granularity>('location', 'full', 'cross');
  const decided = ({ apart }: Topology) =>
    apart.map(({ ends, relay, since }) => [...ends.map(({ location }) => location), relay?.location, since]);
  const renamed = (nodes: readonly Node[], granularity: Granularity): Node[] =>
    granularity === 'location'
      ? [...nodes]
      : nodes.map(({ unreached, ...each }) => ({
          ...each,
          ...(unreached === undefined
            ? {}
            : {
                unreached: new Map(
                  [...unreached].map(([location, word]) => [
                    `${location.replace('location', 'node')}-0`,
                    word,
                  ]),
                ),
              }),
        }));

  it('all agents come to the same, in whatever order they hear of it', () => {
    fc.assert(
      fc.property(
        anyPlaces.chain((places) => {
          const { nodes } = cluster(places);
          return fc.tuple(fc.constant(nodes), fc.shuffledSubarray(nodes, { minLength: nodes.length }));
        }),
        anyGranularity,
        ([nodes, shuffled], granularity) => {
          const all = { nodes: renamed(nodes, granularity) };
          const expected = decided(lookFrom(nodes[0]?.name ?? '', granularity, all));
          for (const { name } of nodes) {
            const other = { nodes: renamed(shuffled, granularity) };
            expect(decided(lookFrom(name, granularity, other))).toEqual(expected);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('a relay reaches both ends itself, is no agent of others, and no range has two tunnels', () => {
    fc.assert(
      fc.property(anyPlaces, anyGranularity, (places, granularity) => {
        const all = { nodes: renamed(cluster(places).nodes, granularity) };
        const first = lookFrom(all.nodes[0]?.name ?? '', granularity, all);
        for (const { ends, relay } of first.apart) {
          if (relay === null) continue;
          for (const end of [...ends, relay]) expect(end.leader.abilities?.has('relay')).toBe(true);
          expect(relay.members.some((member) => member.relay === false)).toBe(false);
          const atRelay = lookFrom(relay.leader.name, granularity, all);
          for (const end of ends)
            expect([...atRelay.relays.keys()].map(({ location }) => location)).not.toContain(end.location);
        }
        for (const { leader } of first.segments) {
          const topology = lookFrom(leader.name, granularity, all);
          const ranges = (wireguardConfig(topology)?.peers ?? []).flatMap(({ allowedIps }) =>
            allowedIps.map(formatCidr),
          );
          expect(new Set(ranges).size).toBe(ranges.length);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('every packet arrives, or is dropped where nobody could help, and none goes round in circles', () => {
    const options = { links: { wireguard: 'kilo0', private: 'eth0', tunnel: 'tunl0' }, underlayMtu: 1500 };
    fc.assert(
      fc.property(anyPlaces, (places) => {
        const all = cluster(places);
        const seen = new Map(all.nodes.map(({ name }) => [name, lookFrom(name, 'location', all)]));
        const view = (name: string): Topology => seen.get(name) ?? lookFrom(name, 'location', all);
        for (const from of all.nodes) {
          for (const to of all.nodes) {
            const pod = (record: Node) => Uint8Array.from(record.podCIDRs[0]?.address ?? []).with(3, 9);
            const packet = { source: pod(from), destination: pod(to) };
            const { hops, end } = tracePacket(
              view,
              view(from.name),
              { kind: 'node', name: from.name },
              packet,
              options,
            );
            expect(end).toMatchObject({ kind: 'pod', at: to.name });
            expect(hops.filter(({ by }) => by === 'tunnel').length).toBeLessThanOrEqual(2);
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  it('without its relay a pair has another, or none, and what is then published changes nothing more', () => {
    fc.assert(
      fc.property(anyPlaces, (places) => {
        let { nodes } = cluster(places);
        const first = lookFrom(nodes[0]?.name ?? '', 'location', { nodes });
        const relay = first.apart.find((each) => each.relay !== null)?.relay;
        if (relay == null) return;
        nodes = nodes.filter(({ location }) => `location:${location}` !== relay.location);
        const publish = (): unknown => {
          const before = decided(lookFrom(nodes[0]?.name ?? '', 'location', { nodes }));
          for (const { name } of nodes) {
            const topology = lookFrom(name, 'location', { nodes });
            const own = of(nodes, name).unreached;
            const since = new Map([...(own ?? [])].map(([location, word]) => [location, word.since]));
            const words = own === undefined ? null : publishedUnreached(topology, since);
            if (words !== null)
              nodes = nodes.map((each) => (each.name === name ? { ...each, unreached: words } : each));
            // One by one, and nobody changes his mind in between.
            expect(decided(lookFrom(name, 'location', { nodes }))).toEqual(before);
          }
          return before;
        };
        expect(publish()).toEqual(publish());
      }),
      { numRuns: 200 },
    );
  });
});
