/**
 * A whole cluster in one process, in virtual time: nodes with real agents (all of them, or some among nodes that only play
 * their part in the API), an API, a network, and a seed from which all of it follows.
 * @module
 */
import { LAST_SEEN, LEADER, nodeRecord } from '../agent/annotations.ts';
import type { NodeResource, PeerResource } from '../agent/kubernetes/resources.ts';
import type { AgentFlags } from '../agent/options.ts';
import { peerOf, whyPeerInvalid } from '../agent/peer-resource.ts';
import { type Address, cidr, contains, hostCidr } from '../noise/ip.ts';
import type { Granularity } from '../routing/node.ts';
import { buildTopology, type ClusterView } from '../routing/topology.ts';
import { Chance } from './chance.ts';
import { Judge } from './judge.ts';
import { agentAnnotations, type MemberShape, nodeObject, shapeOf } from './member.ts';
import { NODE_OBJECTS, PEER_OBJECTS, SimulatedApi } from './simulated-api.ts';
import { SimulatedHost } from './simulated-host.ts';
import { type Attachment, SimulatedNetwork } from './simulated-network.ts';
import { SimulatedNode } from './simulated-node.ts';
import { VirtualTime } from './virtual-time.ts';
import { type WalkContext, type Way, walk } from './walk.ts';

/** 2026-11-21T00:00:00Z. */
const START = 1_795_219_200_000;
const HEARTBEAT_MS = 30_000;
export const SUBNET = cidr('10.4.0.0/16');

export interface SimulationOptions {
  readonly seed: number;
  readonly nodes: number;
  readonly locations: number;
  readonly granularity: Granularity;
  /** How many nodes run a real agent; default all. The first of them lead their locations. */
  readonly agents?: number;
  /** Go's syntax; default 30s, as agents have it. */
  readonly resyncPeriod?: string;
  /** Of all agents. */
  readonly flags?: Partial<AgentFlags>;
  readonly onLog?: (line: string) => void;
}

/** What nodes without an agent hold at one moment. */
interface Played {
  readonly revision: number;
  readonly view: ClusterView;
  readonly hosts: Set<SimulatedHost>;
}

export interface Member {
  readonly shape: MemberShape;
  readonly host: SimulatedHost;
  readonly attachment: Attachment;
  /** Null: it only plays its part in the API. */
  readonly node: SimulatedNode | null;
  /** A heart-beat is written as long as it is. */
  isAlive: boolean;
}

export class MeshSimulation {
  readonly options: SimulationOptions;
  readonly time = new VirtualTime(START);
  readonly chance: Chance;
  readonly api: SimulatedApi;
  readonly network = new SimulatedNetwork();
  readonly members = new Map<string, Member>();
  readonly volunteers = new Set<string>();
  readonly judge: Judge;
  /** Base64 of all private keys, to look for where they must not be. */
  readonly secrets: string[] = [];
  /** Host names that resolve. */
  readonly dns = new Map<string, Address>();
  #next = 0;
  /** At any one time. */
  mostMembers = 0;
  #played: Played | undefined;

  constructor(options: SimulationOptions) {
    this.options = options;
    this.chance = new Chance(options.seed);
    this.api = new SimulatedApi(this.time);
    this.judge = new Judge(this);
    for (let index = 0; index < options.nodes; index++) this.add();
  }

  /** A node joins: its object appears, and it starts. */
  add(): Member {
    const index = this.#next++;
    const { locations, agents = Number.POSITIVE_INFINITY, granularity } = this.options;
    const shape = shapeOf(index, locations, granularity);
    const { name, location, publicAddress, privateCIDR, mapped } = shape;
    const isReal = index < agents;
    const addresses = [privateCIDR, ...(publicAddress === null ? [] : [hostCidr(publicAddress)])];
    const host = new SimulatedHost(name, addresses, {
      heard: (key) => {
        const endpoint = this.network.heard(attachment, key);
        return endpoint === null ? null : { endpoint, seconds: Math.floor(this.time.now / 1000) };
      },
      now: () => this.time.now,
    });
    const chance = this.chance.child();
    const node = isReal ? this.#realNode(name, host, chance) : null;
    const key = node?.publicKey ?? Buffer.from(chance.bytes(32)).toString('base64');
    const attachment: Attachment = {
      host,
      location,
      key,
      privateAddress: privateCIDR.address,
      publicAddress,
      mapped,
      port: 51820,
      up: true,
    };
    const member: Member = { shape, host, attachment, node, isAlive: true };
    this.members.set(name, member);
    this.mostMembers = Math.max(this.mostMembers, this.members.size);
    this.network.attach(attachment);
    const object = nodeObject(shape);
    const seconds = Math.floor(this.time.now / 1000);
    const annotations = {
      ...object.metadata.annotations,
      ...agentAnnotations(shape, key, granularity, seconds),
    };
    const played = { ...object, metadata: { ...object.metadata, annotations } };
    this.api.store.put(NODE_OBJECTS, name, node === null ? played : object);
    if (node === null) this.#play(member);
    // Not all at the same moment.
    else this.time.at(this.time.now + this.chance.between(0, 3000), () => member.isAlive && node.start());
    return member;
  }

  #realNode(name: string, host: SimulatedHost, chance: Chance): SimulatedNode {
    const { granularity, resyncPeriod = '30s', flags, onLog } = this.options;
    const privateKey = chance.bytes(32);
    this.secrets.push(Buffer.from(privateKey).toString('base64'));
    host.onPass = () => this.judge.afterPass(host);
    return new SimulatedNode({
      name,
      host,
      privateKey,
      chance,
      time: this.time,
      api: this.api,
      flags: { meshGranularity: granularity, resyncPeriod, ...flags },
      resolve: async (text) => {
        const address = this.dns.get(text);
        if (address === undefined) throw new Error(`getaddrinfo ENOTFOUND ${text}`);
        return address;
      },
      ...(onLog === undefined ? {} : { onLog }),
    });
  }

  /** Heart-beats of a node without an agent. */
  #play(member: Member): void {
    const { name } = member.shape;
    const beat = (): void => {
      if (this.members.get(name) !== member) return;
      if (member.isAlive) {
        const object = this.api.store.get(NODE_OBJECTS, name);
        if (object !== undefined) {
          const { metadata } = object;
          const annotations = {
            ...metadata.annotations,
            [LAST_SEEN]: String(Math.floor(this.time.now / 1000)),
          };
          this.api.store.put(NODE_OBJECTS, name, { ...object, metadata: { ...metadata, annotations } });
          this.api.writes++;
        }
      }
      this.time.at(this.time.now + HEARTBEAT_MS, beat, true);
    };
    this.time.at(this.time.now + this.chance.between(0, HEARTBEAT_MS), beat, true);
  }

  /** It is gone at once: no word more, no packet more. */
  powerOff(member: Member): void {
    member.isAlive = false;
    member.attachment.up = false;
    member.node?.kill();
  }

  powerOn(member: Member): void {
    member.isAlive = true;
    member.attachment.up = true;
    if (member.node === null) return;
    member.host.loseDevice();
    member.node.start();
  }

  /** The Node object goes too, as when a machine is given back. */
  remove(member: Member): void {
    this.powerOff(member);
    this.api.store.delete(NODE_OBJECTS, member.shape.name);
    this.members.delete(member.shape.name);
    this.network.detach(member.attachment);
  }

  volunteer(name: string, isOne: boolean): void {
    if (isOne) this.volunteers.add(name);
    else this.volunteers.delete(name);
    this.annotate(name, { [LEADER]: isOne ? '' : null });
  }

  annotate(name: string, annotations: Readonly<Record<string, string | null>>): void {
    this.api.patch(NODE_OBJECTS, name, { metadata: { annotations } });
  }

  get alive(): readonly Member[] {
    return [...this.members.values()].filter(({ isAlive }) => isAlive);
  }

  /** Those with a real agent that runs. */
  get watched(): readonly Member[] {
    return this.alive.filter(({ node }) => node?.isRunning === true);
  }

  async pass(seconds: number): Promise<void> {
    await this.time.pass(seconds * 1000);
  }

  /** A packet from a pod of one node to a pod of another. */
  send(from: Member, to: Member): Way {
    const podOf = ({ podCIDR }: MemberShape): Address => {
      const address = Uint8Array.from(podCIDR.address);
      address[3] = 9;
      return address;
    };
    return walk(this.#walkContext(), from.shape.name, podOf(from.shape), podOf(to.shape));
  }

  #walkContext(): WalkContext {
    return {
      network: this.network,
      attachmentOf: (name) => this.members.get(name)?.attachment,
      hasPod: (name, address) => {
        const member = this.members.get(name);
        return member !== undefined && contains(member.shape.podCIDR, address);
      },
      prepare: (host) => this.#program(host),
      tunnelLives: (from, to) =>
        // Who only plays its part discovers nobody: there it is enough that nothing stands between them.
        [from, to].some(({ host }) => this.members.get(host.name)?.node === null)
          ? !this.network.isCut(from.location, to.location)
          : this.network.heard(from, to.key) !== null,
    };
  }

  /** A node without an agent holds what its agent would, as of now, for as long as now lasts. */
  #program(host: SimulatedHost): void {
    const member = this.members.get(host.name);
    if (member === undefined || member.node !== null) return;
    const { view, hosts } = this.#playedNow();
    if (hosts.has(host)) return;
    hosts.add(host);
    const { granularity } = this.options;
    host.program(buildTopology(view, { granularity, subnet: SUBNET, hostname: host.name }));
  }

  #playedNow(): Played {
    const { revision } = this.api.store;
    if (this.#played?.revision === revision) return this.#played;
    for (const host of this.#played?.hosts ?? []) host.forget();
    const objects = <Item>(resource: string): Item[] =>
      this.api.store.list(resource).map(([, object]) => object as unknown as Item);
    const view = {
      nodes: objects<NodeResource>(NODE_OBJECTS).map((resource) => nodeRecord(resource).node),
      peers: objects<PeerResource>(PEER_OBJECTS)
        .filter((resource) => whyPeerInvalid(resource) === null)
        .map(peerOf),
      now: Math.floor(this.time.now / 1000),
    };
    this.#played = { revision, view, hosts: new Set() };
    return this.#played;
  }
}
