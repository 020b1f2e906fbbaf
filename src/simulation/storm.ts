/**
 * What can go wrong in a cluster, one thing after the other or several at once, as chance will have it; each with its end.
 * @module
 */
import {
  ALLOWED_LOCATION_IPS,
  DISCOVERED_ENDPOINTS,
  FORCE_ENDPOINT,
  FORCE_INTERNAL_IP,
  PERSISTENT_KEEPALIVE,
} from '../agent/annotations.ts';
import type { Stored } from '../agent/api-server/object-store.ts';
import { formatCidr } from '../noise/ip.ts';
import type { Chance } from './chance.ts';
import type { Member, MeshSimulation } from './mesh-simulation.ts';
import { NODE_OBJECTS, PEER_OBJECTS } from './simulated-api.ts';

/** Makes it so; answers how it ends. Null: there was nobody to do it to. */
type Trouble = (simulation: MeshSimulation, chance: Chance) => (() => void) | null;

const nothing = (): void => {};

/** Somebody, an agent's node rather than one that is only played. */
const somebody = ({ alive, watched }: MeshSimulation, chance: Chance): Member | undefined =>
  chance.isHit(0.6) ? chance.pick(watched) : chance.pick(alive);

const peer = (name: string, key: Uint8Array, allowedIPs: readonly string[], more: object = {}): Stored => ({
  apiVersion: 'kilo.squat.ai/v1alpha1',
  kind: 'Peer',
  metadata: { name, uid: `uid-${name}` },
  spec: { allowedIPs, publicKey: Buffer.from(key).toString('base64'), ...more },
});

const annotated =
  (annotation: string, text: string): Trouble =>
  (simulation, chance) => {
    const member = somebody(simulation, chance);
    if (member === undefined) return null;
    const { name } = member.shape;
    const before = simulation.api.store.get(NODE_OBJECTS, name)?.metadata.annotations?.[annotation] ?? null;
    simulation.annotate(name, { [annotation]: text });
    return () => {
      if (simulation.members.has(name)) simulation.annotate(name, { [annotation]: before });
    };
  };

const badPeer =
  (label: string, make: (simulation: MeshSimulation, chance: Chance) => Stored): Trouble =>
  (simulation, chance) => {
    const { store } = simulation.api;
    const object = make(simulation, chance);
    const name = `${label}-${chance.below(1e6)}`;
    store.put(PEER_OBJECTS, name, { ...object, metadata: { ...object.metadata, name } });
    return () => void store.delete(PEER_OBJECTS, name);
  };

export const TROUBLES: Readonly<Record<string, Trouble>> = {
  'a node joins': (simulation) => {
    simulation.add();
    return nothing;
  },
  'a node is given back': (simulation, chance) => {
    // Those with agents stay: they are what is looked at.
    const played = simulation.alive.filter(({ node }) => node === null);
    const member = chance.pick(played.length > 0 ? played : simulation.alive);
    if (member === undefined || simulation.members.size < simulation.options.nodes) return null;
    simulation.remove(member);
    return nothing;
  },
  'a node loses power': (simulation, chance) => {
    const member = somebody(simulation, chance);
    if (member === undefined) return null;
    simulation.powerOff(member);
    return () => simulation.powerOn(member);
  },
  'a leader loses power': (simulation, chance) => {
    const leaders = simulation.watched.filter(({ host }) => host.wireguardCIDR !== null);
    const member = chance.pick(leaders);
    if (member === undefined) return null;
    simulation.powerOff(member);
    return () => simulation.powerOn(member);
  },
  'an agent is killed and started again': (simulation, chance) => {
    const member = chance.pick(simulation.watched);
    if (member === undefined) return null;
    member.node?.kill();
    member.node?.start();
    return nothing;
  },
  'an agent stays away': (simulation, chance) => {
    const member = chance.pick(simulation.watched);
    if (member === undefined) return null;
    member.node?.kill();
    return () => member.node?.start();
  },
  'a device dies': (simulation, chance) => {
    const member = chance.pick(simulation.watched);
    member?.host.loseDevice();
    return nothing;
  },
  'the API is away for all': (simulation, chance) => apiAway(simulation, simulation.watched, chance),
  'the API is away for some': (simulation, chance) =>
    apiAway(
      simulation,
      simulation.watched.filter(() => chance.isHit(0.3)),
      chance,
    ),
  'the API forgets its history': (simulation) => {
    simulation.api.store.compact();
    for (const { node } of simulation.watched) node?.breakStreams();
    return nothing;
  },
  'streams break': (simulation, chance) => {
    for (const { node } of simulation.watched) if (chance.isHit(0.5)) node?.breakStreams();
    return nothing;
  },
  'a watch is slow': (simulation, chance) => {
    const member = chance.pick(simulation.watched);
    if (member?.node == null) return null;
    const { node } = member;
    node.delayMs = chance.between(2000, 15_000);
    return () => {
      node.delayMs = 100;
    };
  },
  'two locations cannot reach each other': (simulation, chance) => {
    const [a, b] = [chance.pick(simulation.alive), chance.pick(simulation.alive)];
    if (a === undefined || b === undefined || a.shape.location === b.shape.location) return null;
    simulation.network.cut(a.shape.location, b.shape.location);
    return () => simulation.network.heal();
  },
  'a clock is wrong by seconds': (simulation, chance) => skewed(simulation, chance, 20_000),
  'a clock is wrong by minutes': (simulation, chance) => skewed(simulation, chance, 300_000),
  'somebody volunteers': (simulation, chance) => {
    const member = somebody(simulation, chance);
    if (member === undefined) return null;
    const { name } = member.shape;
    simulation.volunteer(name, true);
    return () => {
      if (simulation.members.has(name)) simulation.volunteer(name, false);
      else simulation.volunteers.delete(name);
    };
  },
  'an endpoint is no endpoint': annotated(FORCE_ENDPOINT, 'nowhere'),
  'a private address is none': annotated(FORCE_INTERNAL_IP, '10.1.2.3'),
  'a keepalive is no number': annotated(PERSISTENT_KEEPALIVE, 'soon'),
  'discovered endpoints are no JSON': annotated(DISCOVERED_ENDPOINTS, '{'),
  'ranges with host bits and spaces are offered': annotated(
    ALLOWED_LOCATION_IPS,
    '192.168.77.5/24, 10.0.0.0/8,x',
  ),
  'a range of everybody is offered': annotated(ALLOWED_LOCATION_IPS, '10.64.0.0/10'),
  'a pod range is given twice': (simulation, chance) => {
    const [a, b] = [chance.pick(simulation.alive), chance.pick(simulation.alive)];
    if (a === undefined || b === undefined || a === b) return null;
    const { name } = a.shape;
    simulation.judge.excused.add(name);
    simulation.judge.excused.add(b.shape.name);
    const range = (cidr: string): void => {
      simulation.api.patch(NODE_OBJECTS, name, { spec: { podCIDR: cidr } });
    };
    range(formatCidr(b.shape.podCIDR));
    return () => {
      if (simulation.members.has(name)) range(formatCidr(a.shape.podCIDR));
      simulation.judge.excused.clear();
    };
  },
  'a Peer is nonsense': badPeer('nonsense', (_, chance) => peer('', chance.bytes(32), ['10.5.0.1', 'x'])),
  'a Peer claims everything': badPeer('greedy', (_, chance) =>
    peer('', chance.bytes(32), ['0.0.0.0/0', '10.64.0.0/10', '10.4.0.1/32']),
  ),
  'a Peer has a name that does not resolve': badPeer('nowhere', (_, chance) =>
    peer('', chance.bytes(32), ['10.5.0.9/32'], {
      endpoint: { dnsOrIP: { dns: 'nowhere.invalid' }, port: 51820 },
    }),
  ),
  "a Peer has a node's key": badPeer('twin', (simulation, chance) => {
    const key = chance.pick(simulation.alive)?.attachment.key ?? '';
    return peer('', Uint8Array.from(Buffer.from(key, 'base64')), ['10.5.0.10/32']);
  }),
};

const apiAway = (
  { judge, time }: MeshSimulation,
  members: readonly Member[],
  chance: Chance,
): (() => void) | null => {
  const those = members.filter(({ node }) => node !== null && node.absence === null);
  if (those.length === 0) return null;
  const how = chance.isHit(0.5) ? 'refuses' : 'silent';
  for (const member of those) if (member.node !== null) member.node.absence = how;
  // What was on its way has arrived by then, and so have names that were being asked for.
  const cancel = time.at(time.now + 20_000, () => {
    for (const member of those) if (member.isAlive) judge.apiLeft(member);
  });
  return () => {
    cancel();
    for (const member of those) {
      judge.apiReturned(member);
      if (member.node !== null) member.node.absence = null;
    }
  };
};

const skewed = (simulation: MeshSimulation, chance: Chance, most: number): (() => void) | null => {
  const member = chance.pick(simulation.watched);
  if (member?.node == null) return null;
  const { node } = member;
  node.skew = Math.round(chance.between(-most, most));
  return () => {
    node.skew = 0;
  };
};

export interface StormEntry {
  /** Seconds since the start, and how many it lasted. */
  readonly at: number;
  readonly what: string;
  readonly seconds: number;
}

/** How long after the last trouble everything is well again: a heart-beat's life after the gap that an outage was. */
export const CALM_SECONDS = 240;

/** One after the other until the time is over, sometimes two together; then calm, and the judge looks at all of it. */
export const storm = async (simulation: MeshSimulation, seconds: number): Promise<StormEntry[]> => {
  const { chance, judge, time } = simulation;
  const kinds = Object.keys(TROUBLES);
  const entries: StormEntry[] = [];
  await simulation.pass(CALM_SECONDS);
  judge.calm();
  while (time.elapsed < seconds * 1000) {
    const endings: (() => void)[] = [];
    const count = 1 + chance.below(3);
    let whole = 0;
    for (let each = 0; each < count; each++) {
      const what = chance.pick(kinds) ?? '';
      const end = TROUBLES[what]?.(simulation, chance);
      const lasts = chance.between(10, 240);
      if (end == null) continue;
      endings.push(end);
      entries.push({ at: time.elapsed / 1000, what, seconds: Math.round(lasts) });
      await simulation.pass(lasts / 2);
      judge.circles();
      whole += lasts / 2;
    }
    await simulation.pass(whole / 2);
    judge.circles();
    for (const end of endings.toReversed()) end();
    await simulation.pass(CALM_SECONDS);
    judge.calm();
    if (judge.violations.length > 0) break;
  }
  return entries;
};
