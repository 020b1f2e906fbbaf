/**
 * Holds a simulated mesh against what must be so: after each pass of each agent, and whenever everything has been calm for long
 * enough.
 * @module
 */
import { WIREGUARD_IP } from '../agent/annotations.ts';
import { contains, formatAddress, formatCidr } from '../noise/ip.ts';
import { keyText } from '../routing/key-text.ts';
import { unreachedBy } from '../routing/relays.ts';
import type { Topology } from '../routing/topology.ts';
import { wireguardConfig } from '../routing/wireguard-config.ts';
import { expectedSegments } from './expectation.ts';
import type { Member, MeshSimulation } from './mesh-simulation.ts';
import { NODE_OBJECTS } from './simulated-api.ts';
import type { SimulatedHost } from './simulated-host.ts';

export interface Violation {
  /** Seconds since the start. */
  readonly at: number;
  readonly rule: string;
  readonly text: string;
}

/** What is held while the API is away. */
interface Kept {
  readonly peers: string;
  readonly routes: string;
}

/** What nodes without an agent hold has to be worked out for each packet. */
const WALKS = { all: 60, some: 12 } as const;

export class Judge {
  readonly violations: Violation[] = [];
  /** How often each rule was looked at. */
  readonly checks = new Map<string, number>();
  readonly #simulation: MeshSimulation;
  readonly #signatures = new Map<string, { readonly signature: string; readonly shared: string }>();
  readonly #kept = new Map<string, Kept>();
  /** Members something is wrong with at this moment, by the doing of the simulation itself. */
  readonly excused = new Set<string>();

  constructor(simulation: MeshSimulation) {
    this.#simulation = simulation;
  }

  #check(rule: string, isSo: boolean, text: () => string): void {
    this.checks.set(rule, (this.checks.get(rule) ?? 0) + 1);
    if (isSo || this.violations.length >= 20) return;
    this.violations.push({ at: this.#simulation.time.elapsed / 1000, rule, text: text() });
  }

  /** From now on until `apiReturned` this node may lose nothing. */
  apiLeft({ host }: Member): void {
    this.#kept.set(host.name, keptBy(host));
  }

  apiReturned({ host }: Member): void {
    this.#kept.delete(host.name);
  }

  afterPass(host: SimulatedHost): void {
    const { topology, name } = host;
    if (topology === null) return;
    this.#noPodRangeTwice(host, topology);
    this.#addressesUnique(host, topology);
    const kept = this.#kept.get(name);
    if (kept !== undefined) {
      const { peers, routes } = keptBy(host);
      const rule = 'no peer or route is lost while the API is away';
      this.#check(
        rule,
        kept.peers === peers && kept.routes === routes,
        () => `${name}: ${kept.peers} → ${peers}`,
      );
    }
    this.#agree(host, topology);
  }

  #noPodRangeTwice(host: SimulatedHost, topology: Topology): void {
    const holders = new Map<string, string>();
    let twice = '';
    let own = false;
    for (const { publicKey, allowedIps } of wireguardConfig(topology)?.peers ?? []) {
      const key = keyText(publicKey);
      for (const range of allowedIps) {
        const text = formatCidr(range);
        if (holders.has(text)) twice = text;
        holders.set(text, key);
        own ||= topology.self.podCIDRs.some(
          (pods) => range.prefix >= pods.prefix && contains(pods, range.address),
        );
      }
    }
    this.#check('no range has two peers', twice === '', () => `${host.name}: ${twice}`);
    if (!this.excused.has(host.name))
      this.#check("a node's own pods are its own", !own, () => `${host.name} gives them away`);
  }

  #addressesUnique(host: SimulatedHost, { segments }: Topology): void {
    const addresses = new Set(segments.map(({ wireguardIP }) => formatAddress(wireguardIP)));
    this.#check('mesh addresses are unique', addresses.size === segments.length, () => host.name);
  }

  /** Agents that have seen the same members see the same mesh, and are each other's peers. */
  #agree(host: SimulatedHost, topology: Topology): void {
    const seen = { signature: signatureOf(topology), shared: sharedOf(topology) };
    this.#signatures.set(host.name, seen);
    for (const member of this.#simulation.watched) {
      const other = member.host;
      if (other === host || other.topology === null) continue;
      const theirs = this.#signatures.get(other.name);
      if (theirs === undefined || theirs.signature !== seen.signature) continue;
      this.#check('who has seen the same sees the same mesh', theirs.shared === seen.shared, () =>
        [host.name, other.name].join(' and '),
      );
      // Others have no tunnels; that a Peer was given their key is not their doing.
      if (!topology.isLeader || !other.topology.isLeader) continue;
      const there = other.peers.has(topology.self.key);
      const here = host.peers.has(other.topology.self.key);
      this.#check('who has seen the same is a peer of its peers', here === there, () =>
        [host.name, here, other.name, there].join(' '),
      );
    }
  }

  get #sound(): readonly Member[] {
    return this.#simulation.alive.filter(({ shape }) => !this.excused.has(shape.name));
  }

  #expected(): string {
    const { options, volunteers } = this.#simulation;
    const shapes = this.#sound.map(({ shape }) => shape);
    return JSON.stringify(expectedSegments(shapes, options.granularity, volunteers));
  }

  /** Whether every agent has the mesh that the members make; no verdict. */
  isAsExpected(): boolean {
    const { watched } = this.#simulation;
    if (watched.length === 0 || watched.some(({ host }) => host.topology === null)) return false;
    const expected = this.#expected();
    return watched.every(({ host }) => host.topology !== null && meshText(host.topology) === expected);
  }

  /** After everything has been well for some minutes. */
  calm(): void {
    const simulation = this.#simulation;
    const sound = this.#sound;
    const expected = this.#expected();
    const walks = WALKS[simulation.options.agents === undefined ? 'all' : 'some'];
    for (const member of simulation.watched) {
      const { host, node, shape } = member;
      this.#check(
        'no agent ends by itself',
        node?.crash === null,
        () => `${shape.name}: ${String(node?.crash)}`,
      );
      if (this.excused.has(shape.name)) continue;
      const found = host.topology === null ? '' : meshText(host.topology);
      this.#check('the mesh is what its sound members make', found === expected, () =>
        firstDifference(shape.name, expected, found),
      );
      const object = simulation.api.store.get(NODE_OBJECTS, shape.name);
      const said = object?.metadata.annotations?.[WIREGUARD_IP];
      const has = host.wireguardCIDR === null ? '' : formatCidr(host.wireguardCIDR);
      this.#check('a node says the address it has', said === has, () => `${shape.name}: ${said}, ${has}`);
    }
    for (let sent = 0; sent < walks; sent++) {
      const from = simulation.chance.pick(sound);
      const to = simulation.chance.pick(sound);
      if (from !== undefined && to !== undefined) this.#reaches(from, to);
    }
  }

  #reaches(from: Member, to: Member): void {
    const { hosts, end } = this.#simulation.send(from, to);
    this.#check('every pod reaches every pod', end === 'arrived', () => `${hosts.join(' → ')}: ${end}`);
  }

  /** Between two locations, although these do not reach each other. */
  relayed(a: string, b: string): void {
    const at = (place: string) => this.#sound.filter(({ shape }) => shape.location === place);
    for (const from of at(a)) {
      for (const to of at(b)) {
        this.#reaches(from, to);
        this.#reaches(to, from);
      }
    }
  }

  /** Nobody goes through a third where it needs not. */
  allDirect(): void {
    for (const { host } of this.#simulation.watched)
      this.#check(
        'who reaches each other needs no relay',
        host.topology?.apart.length === 0,
        () =>
          `${host.name}: ${host.topology?.apart.map(({ ends }) => ends.map(({ location }) => location).join(' – ')).join()}`,
      );
  }

  /** Between those who have seen the same nothing goes round in circles, whatever else is wrong. */
  circles(): void {
    const { chance, alive, options } = this.#simulation;
    const walks = options.agents === undefined ? 5 : 1;
    for (let sent = 0; sent < walks; sent++) {
      const from = chance.pick(alive);
      const to = chance.pick(alive);
      if (from === undefined || to === undefined) continue;
      const { hosts, end } = this.#simulation.send(from, to);
      const signatures = new Set(hosts.map((name) => this.#signatures.get(name)?.signature ?? name));
      const rule = 'nothing goes round in circles between those who have seen the same';
      this.#check(rule, end !== 'loop' || signatures.size > 1, () => hosts.join(' → '));
    }
  }
}

const keptBy = ({ peers, plan }: SimulatedHost): Kept => ({
  peers: [...peers.values()]
    .map(({ key, allowedIps }) => `${key} ${allowedIps.map(formatCidr).toSorted().join()}`)
    .toSorted()
    .join('\n'),
  routes: plan.routes
    .map(({ destination, device, table }) => `${formatCidr(destination)} ${device} ${table}`)
    .toSorted()
    .join('\n'),
});

/** Of whom the mesh is made: what agents that agree on it must have seen alike. */
const signatureOf = ({ segments, peers, granularity }: Topology): string =>
  JSON.stringify([
    granularity,
    segments
      .flatMap(({ members }) => members)
      .map(({ name, key, location, internalIP, endpoint, podCIDRs, leader, allowedLocationIPs }) => [
        [name, key, location, leader],
        internalIP === undefined ? '' : formatCidr(internalIP),
        endpoint.address === undefined ? '' : formatAddress(endpoint.address),
        podCIDRs.map(formatCidr),
        allowedLocationIPs.map(formatCidr),
      ])
      .toSorted(([a], [b]) => (String(a) < String(b) ? -1 : 1)),
    segments.map((segment) => [...unreachedBy(segment)]),
    peers.map(({ name, key, allowedIPs }) => [name, key, allowedIPs.map(formatCidr)]),
  ]);

const sharedOf = ({ segments, claims, peers, apart }: Topology): string =>
  JSON.stringify([
    apart.map(({ ends, relay, since }) => [ends.map(({ location }) => location), relay?.location, since]),
    segments.map((segment) => [
      segment.location,
      segment.leader.name,
      formatAddress(segment.wireguardIP),
      claims.networksOf(segment).map(formatCidr),
    ]),
    peers.map((peer) => [peer.name, claims.networksOf(peer).map(formatCidr)]),
  ]);

const meshText = ({ segments }: Topology): string =>
  JSON.stringify(
    segments.map(({ location, leader, members, wireguardIP }) => ({
      location,
      leader: leader.name,
      members: members.map(({ name }) => name),
      address: formatAddress(wireguardIP),
    })),
  );

const firstDifference = (name: string, expected: string, found: string): string => {
  let at = 0;
  while (at < expected.length && expected[at] === found[at]) at++;
  const piece = (text: string): string => text.slice(Math.max(0, at - 60), at + 60);
  return `${name}: …${piece(expected)}…, but …${piece(found)}…`;
};
