/**
 * Locations whose nodes watch each other in virtual time: which probes come back is decided by who lives, who forwards and
 * who thinks that it leads; what is published is seen by all a moment later.
 * @module
 */
import { formatAddress } from '../../../src/noise/ip.ts';
import { FailOver } from '../../../src/routing/fail-over.ts';
import { withInferred } from '../../../src/routing/inferred-leaders.ts';
import { type Node, privateAddressOf } from '../../../src/routing/node.ts';
import { buildTopology, type Segment, type Topology } from '../../../src/routing/topology.ts';
import { NOW, node, SUBNET } from './clusters.ts';

/** A patch, its way to the others, and what they do then. */
const PUBLISH_MS = 150;
const STEP_MS = 50;

interface Body {
  readonly name: string;
  readonly failOver: FailOver;
  topology: Topology;
  alive: boolean;
  forwards: boolean;
  /** Its only cable is out. */
  isolated: boolean;
  /** Has a way out of its location. */
  connected: boolean;
  hasApi: boolean;
  /** Answers on their way here: address and when. */
  readonly answers: { address: string; at: number }[];
  /** By public key, in Unix seconds. */
  readonly handshakes: Map<string, number>;
  /** Published records as it last heard them. */
  nodes: readonly Node[];
  ledBefore: boolean;
}

export interface WorldOptions {
  /** Location → how many nodes; the first of each has a public endpoint. */
  readonly locations: Readonly<Record<string, number>>;
  readonly loss?: number;
  readonly random?: () => number;
  /** Names of nodes that run another agent. */
  readonly others?: readonly string[];
  /** Whether all endpoints are alike, so that only names decide. */
  readonly equal?: boolean;
}

export class FailOverWorld {
  ms = 0;
  readonly bodies = new Map<string, Body>();
  /** Who led which location from when on. */
  readonly history: { readonly at: number; readonly location: string; readonly leader: string }[] = [];
  /** Published records. */
  #nodes: readonly Node[];
  readonly #loss: number;
  readonly #random: () => number;
  readonly #pending: { at: number; name: string; change: Partial<Node> }[] = [];
  writes = 0;
  probes = 0;

  constructor({ locations, loss = 0, random = () => 1, others = [], equal = false }: WorldOptions) {
    this.#loss = loss;
    this.#random = random;
    this.#nodes = Object.entries(locations).flatMap(([location, count], place) =>
      Array.from({ length: count }, (_, index) => ({
        ...node({
          name: `${location}-${index}`,
          location,
          endpoint:
            index === 0 && !equal ? `203.0.113.${place + 1}:51820` : `10.${place}.0.${index + 1}:51820`,
          internalIP: `10.${place}.0.${index + 1}/24`,
          podCIDR: `10.42.${4 * place + index}.0/24`,
        }),
        ...(others.includes(`${location}-${index}`)
          ? {}
          : { abilities: new Set(['kilowire', 'leader-failover'] as const) }),
      })),
    );
    for (const { name } of this.#nodes) {
      const body: Body = {
        name,
        failOver: new FailOver(),
        topology: this.#topologyOf(name, this.#nodes),
        alive: true,
        forwards: true,
        isolated: false,
        connected: true,
        hasApi: true,
        answers: [],
        handshakes: new Map(),
        nodes: this.#nodes,
        ledBefore: true,
      };
      this.bodies.set(name, body);
      body.failOver.follow(body.topology, this.#now());
    }
    this.#note();
  }

  body(name: string): Body {
    const body = this.bodies.get(name);
    if (body === undefined) throw new Error(`there is no ${name}`);
    return body;
  }

  /** By everybody's view; throws when two that live differ. */
  leader(location: string): string {
    const views = [...this.bodies.values()]
      .filter(({ alive, hasApi }) => alive && hasApi)
      .map(({ topology }) => segmentAt(topology, location)?.leader.name);
    if (new Set(views).size !== 1) throw new Error(`they disagree: ${views}`);
    return views[0] ?? '';
  }

  run(ms: number): void {
    const end = this.ms + ms;
    while (this.ms < end) {
      this.ms += STEP_MS;
      this.#deliver();
      for (const body of this.bodies.values()) if (body.alive) this.#live(body);
    }
  }

  /** For everybody at once. */
  setApi(up: boolean): void {
    for (const body of this.bodies.values()) {
      body.hasApi = up;
      if (!up) continue;
      body.failOver.apiSpoke(this.ms);
      this.#publish(body);
    }
  }

  /** Until the pod of one node would reach the pod of another; answers after how long. */
  untilReached(from: string, to: string, patience = 120_000): number {
    const begin = this.ms;
    while (!this.reaches(from, to)) {
      if (this.ms - begin > patience) throw new Error(`${from} does not reach ${to}`);
      this.run(STEP_MS);
    }
    return this.ms - begin;
  }

  /** There and back. */
  reaches(from: string, to: string): boolean {
    return this.#passes(this.body(from), this.body(to)) && this.#passes(this.body(to), this.body(from));
  }

  #passes(from: Body, to: Body): boolean {
    if (!from.alive || !to.alive || from.isolated || to.isolated) return false;
    const own = from.topology.segment;
    const there = segmentOf(from.topology, to.name);
    if (there === undefined) return false;
    if (own === there) return true;
    const out = this.body(own.leader.name);
    if (out !== from && !(out.alive && out.forwards)) return false;
    const out2 = segmentOf(out.topology, to.name);
    const into = this.body(out2?.leader.name ?? '');
    if (!out.connected || !into.connected || !into.alive || !out.topology.isLeader) return false;
    // WireGuard takes packets from who holds their source.
    if (!into.topology.isLeader || segmentOf(into.topology, from.name)?.leader.name !== out.name)
      return false;
    return into === to || into.forwards;
  }

  #live(body: Body): void {
    const { failOver } = body;
    const { liveness } = failOver;
    for (const answer of body.answers.splice(0)) {
      if (answer.at <= this.ms) liveness.answered(answer.address);
      else body.answers.push(answer);
    }
    const isNews = failOver.judge(this.#now());
    if (!body.hasApi && failOver.doubtsApi(this.ms)) failOver.apiAway();
    const heard = failOver.listensSince(this.ms) !== null && failOver.heard(body.handshakes, this.#now());
    if (isNews || heard) {
      this.#follow(body);
      if (body.hasApi) this.#publish(body);
    }
    if (body.topology.isLeader && !body.ledBefore) this.#greet(body);
    body.ledBefore = body.topology.isLeader;
    for (const address of liveness.due(this.ms)) {
      this.probes++;
      const target = this.#holderOf(body, address);
      const comes = target !== undefined && this.reaches(body.name, target) && this.#random() >= this.#loss;
      if (comes) body.answers.push({ address, at: this.ms + 40 });
    }
  }

  /** A new leader calls the others, who know its key beforehand. */
  #greet(body: Body): void {
    const { unix } = this.#now();
    for (const { leader } of body.topology.segments) {
      const other = this.body(leader.name);
      if (other === body || !other.alive || !other.connected || !body.connected || body.isolated) continue;
      other.handshakes.set(body.topology.self.key, unix);
      body.handshakes.set(leader.key, unix);
    }
  }

  #holderOf(body: Body, address: string): string | undefined {
    const segment = body.topology.segments.find(({ wireguardIP }) => formatAddress(wireguardIP) === address);
    if (segment !== undefined) return segment.leader.name;
    return body.nodes.find((each) => {
      const own = privateAddressOf(each);
      return own !== null && formatAddress(own) === address;
    })?.name;
  }

  #publish({ name, failOver }: Body): void {
    this.writes++;
    const { claim, failing } = failOver.verdict;
    this.#pending.push({
      at: this.ms + PUBLISH_MS,
      name,
      change: { leaderClaim: claim ?? undefined, failingLeaders: failing } as Partial<Node>,
    });
  }

  #deliver(): void {
    const due = this.#pending.filter(({ at }) => at <= this.ms);
    if (due.length === 0) return;
    this.#pending.splice(0, this.#pending.length, ...this.#pending.filter(({ at }) => at > this.ms));
    for (const { name, change } of due)
      this.#nodes = this.#nodes.map((each) => (each.name === name ? withChange(each, change) : each));
    for (const body of this.bodies.values()) if (body.alive && body.hasApi) this.#follow(body);
    this.#note();
  }

  #follow(body: Body): void {
    if (body.hasApi) body.nodes = this.#nodes;
    body.topology = this.#topologyOf(body.name, body.nodes, body.failOver);
    body.failOver.follow(body.topology, this.#now());
  }

  /** The agent knows of itself what it is about to publish. */
  #topologyOf(name: string, records: readonly Node[], failOver?: FailOver): Topology {
    const nodes = records.map((each) =>
      each.name === name && failOver !== undefined
        ? withChange(each, { leaderClaim: failOver.verdict.claim ?? undefined } as Partial<Node>)
        : each,
    );
    const known = failOver === undefined ? nodes : withInferred(nodes, failOver.verdict.inferred);
    return buildTopology(
      { nodes: known, peers: [], now: NOW },
      { granularity: 'location', subnet: SUBNET, hostname: name },
    );
  }

  #note(): void {
    const topology = buildTopology(
      { nodes: this.#nodes, peers: [], now: NOW },
      { granularity: 'location', subnet: SUBNET },
    );
    for (const { location, leader } of topology.segments) {
      const last = this.history.findLast((each) => each.location === location);
      if (last?.leader !== leader.name) this.history.push({ at: this.ms, location, leader: leader.name });
    }
  }

  #now() {
    return { ms: this.ms, unix: NOW + Math.floor(this.ms / 1000) };
  }
}

const segmentAt = (topology: Topology, location: string): Segment | undefined =>
  topology.segments.find((segment) => segment.location === `location:${location}`);

const segmentOf = (topology: Topology, name: string): Segment | undefined =>
  topology.segments.find(({ members }) => members.some((member) => member.name === name));

const withChange = (record: Node, change: Partial<Node>): Node =>
  Object.fromEntries(
    Object.entries({ ...record, ...change }).filter(([, value]) => value !== undefined),
  ) as unknown as Node;
