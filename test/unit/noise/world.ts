/**
 * A world of tunnels: N whole devices over an in-memory network, a clock that is a number, and one seeded generator for
 * everything left to chance. Datagrams can be lost, doubled, delayed and overtaken; a node can sit behind a translator
 * that gives it another address. When an expectation fails, the seed and a mermaid sequence of what was sent are printed.
 * Source of the idea: nebula's e2e router.
 * @module
 */
import { nativePrimitives } from '../../../src/device/native-primitives.ts';
import type { KeyPair, Primitives } from '../../../src/noise/primitives.ts';
import { Tunnel } from '../../../src/noise/tunnel.ts';
import type { ReceiveOutcome, SendOutcome } from '../../../src/noise/tunnel-types.ts';
import { seededRandom } from './fixtures.ts';

export interface WorldOptions {
  readonly seed?: number;
  /** One way, in ms. */
  readonly latency?: number;
  /** Up to this much more, at random: later datagrams overtake. */
  readonly jitter?: number;
  /** Of 1. */
  readonly loss?: number;
  readonly duplicates?: number;
}

export type DatagramKind = 'initiation' | 'response' | 'cookie' | 'keepalive' | 'data';

export interface Sent {
  readonly at: number;
  readonly from: WorldNode;
  readonly to: string;
  readonly kind: DatagramKind;
  readonly bytes: Uint8Array;
  fate: string;
}

interface Flight {
  readonly at: number;
  readonly order: number;
  readonly source: Uint8Array;
  readonly target: Uint8Array;
  readonly sent: Sent;
}

const KINDS: readonly DatagramKind[] = ['initiation', 'response', 'cookie', 'data'];
/** 2026-11-21, in ms. */
export const WALL_OFFSET = 1_795_219_200_000;

export class WorldNode {
  readonly name: string;
  readonly keys: KeyPair;
  readonly tunnel: Tunnel;
  /** Address in the inner network: 10.0.0.n. */
  readonly inner: Uint8Array;
  /** Address and port as the network sees it. */
  address: Uint8Array;
  /** Payloads that came out of the tunnel, in order. */
  readonly inbox: string[] = [];
  readonly outcomes: ReceiveOutcome[] = [];

  constructor(world: World, name: string, number: number, primitives: Primitives) {
    this.name = name;
    this.keys = primitives.generateKeypair();
    this.inner = Uint8Array.of(10, 0, 0, number);
    this.address = Uint8Array.of(192, 0, 2, number, 0xca, 0x6c);
    this.tunnel = new Tunnel({
      primitives,
      wallOffset: WALL_OFFSET,
      output: {
        datagram: (bytes, address) => world.carry(this, bytes, address),
        packet: (bytes) => this.inbox.push(new TextDecoder().decode(bytes.subarray(20))),
      },
    });
    this.tunnel.setPrivateKey(this.keys.privateKey);
    this.tunnel.up(world.now);
  }
}

export interface Link {
  readonly presharedKey?: Uint8Array;
  /** Seconds of persistent keepalive of the first node. */
  readonly keepalive?: number;
  /** The second node does not know where the first is. */
  readonly oneWay?: boolean;
}

export class World {
  now = 1_000;
  readonly seed: number;
  loss: number;
  /** Decides the fate of a datagram before chance does: true to lose it. */
  filter: (sent: Sent) => boolean = () => false;
  readonly sent: Sent[] = [];
  readonly nodes: WorldNode[] = [];
  readonly #options: WorldOptions;
  readonly #random: () => number;
  readonly #primitives: Primitives;
  readonly #flights: Flight[] = [];
  #order = 0;

  constructor(options: WorldOptions = {}) {
    this.#options = options;
    this.seed = options.seed ?? 1;
    this.loss = options.loss ?? 0;
    const bytes = seededRandom(this.seed);
    this.#random = () => (((bytes(1)[0] as number) << 8) | (bytes(1)[0] as number)) / 65_536;
    this.#primitives = nativePrimitives(seededRandom(this.seed + 0x5eed));
  }

  add(name: string): WorldNode {
    const node = new WorldNode(this, name, this.nodes.length + 1, this.#primitives);
    this.nodes.push(node);
    return node;
  }

  /** Makes each a peer of the other. */
  link(a: WorldNode, b: WorldNode, options: Link = {}): void {
    const preshared = options.presharedKey === undefined ? {} : { presharedKey: options.presharedKey };
    const range = (node: WorldNode) => ({ address: node.inner, prefix: 32 });
    b.tunnel.addPeer(
      {
        publicKey: a.keys.publicKey,
        allowedIps: [range(a)],
        ...preshared,
        ...(options.oneWay ? {} : { endpoint: endpointOf(a) }),
      },
      this.now,
    );
    a.tunnel.addPeer(
      {
        publicKey: b.keys.publicKey,
        allowedIps: [range(b)],
        ...preshared,
        endpoint: endpointOf(b),
        persistentKeepalive: options.keepalive ?? 0,
      },
      this.now,
    );
  }

  /** Two nodes that know each other. */
  static pair(options: WorldOptions & Link = {}): { world: World; a: WorldNode; b: WorldNode } {
    const world = new World(options);
    const a = world.add('a');
    const b = world.add('b');
    world.link(a, b, options);
    return { world, a, b };
  }

  /** An IPv4 packet with this text from one node's inner address to the other's. */
  send(from: WorldNode, to: WorldNode, text: string): SendOutcome {
    return from.tunnel.send(ipv4(from.inner, to.inner, text), this.now);
  }

  /** Called by the nodes. */
  carry(from: WorldNode, bytes: Uint8Array, target: Uint8Array): void {
    const kind =
      bytes[0] === 4 && bytes.length === 32 ? 'keepalive' : (KINDS[(bytes[0] as number) - 1] as DatagramKind);
    const sent: Sent = { at: this.now, from, to: this.#nameOf(target), kind, bytes: bytes.slice(), fate: '' };
    this.sent.push(sent);
    if (this.filter(sent) || this.#random() < this.loss) {
      sent.fate = 'lost';
      return;
    }
    this.#fly(sent, from.address, target);
    if (this.#random() < (this.#options.duplicates ?? 0)) this.#fly(sent, from.address, target);
  }

  /** Puts a datagram on the wire again, as from any address. */
  inject(sent: Sent, source: Uint8Array, target: Uint8Array): void {
    this.#fly({ ...sent, fate: '' }, source, target);
  }

  /** Lets time pass: every datagram arrives and every timer fires at its moment. */
  run(milliseconds: number): void {
    const end = this.now + milliseconds;
    for (;;) {
      const flight = this.#flights[0];
      let next = flight?.at ?? Number.POSITIVE_INFINITY;
      for (const node of this.nodes) next = Math.min(next, node.tunnel.nextDeadline());
      if (next > end) break;
      this.now = Math.max(this.now, next);
      if (flight !== undefined && flight.at <= this.now) {
        this.#flights.shift();
        this.#arrive(flight);
      }
      for (const node of this.nodes) node.tunnel.tick(this.now);
    }
    this.now = end;
  }

  /** What a node sent, of one kind, since a moment. */
  count(from: WorldNode, kind: DatagramKind, since = 0): number {
    return this.times(from, kind, since).length;
  }

  times(from: WorldNode, kind: DatagramKind, since = 0): number[] {
    return this.sent.filter((s) => s.from === from && s.kind === kind && s.at >= since).map((s) => s.at);
  }

  /** The last of what was sent, as a mermaid sequence diagram. */
  mermaid(): string {
    const lines = this.sent.slice(-60).map((s) => {
      const arrow = s.fate === 'lost' ? '-x' : '->>';
      return `  ${s.from.name}${arrow}${s.to}: ${(s.at / 1000).toFixed(3)} s ${s.kind} ${s.bytes.length} B ${s.fate}`;
    });
    return ['sequenceDiagram', ...lines].join('\n');
  }

  #fly(sent: Sent, source: Uint8Array, target: Uint8Array): void {
    const delay = (this.#options.latency ?? 10) + this.#random() * (this.#options.jitter ?? 0);
    this.#order += 1;
    this.#flights.push({
      at: this.now + delay,
      order: this.#order,
      source: source.slice(),
      target: target.slice(),
      sent,
    });
    this.#flights.sort((x, y) => x.at - y.at || x.order - y.order);
  }

  #arrive({ sent, source, target }: Flight): void {
    const node = this.nodes.find((candidate) => same(candidate.address, target));
    if (node === undefined) {
      sent.fate = 'nobody there';
      return;
    }
    const outcome = node.tunnel.receive(sent.bytes, source, this.now);
    node.outcomes.push(outcome);
    sent.fate = outcome;
  }

  #nameOf(target: Uint8Array): string {
    return this.nodes.find((node) => same(node.address, target))?.name ?? target.join('.');
  }
}

/** Runs a scene; when it fails, its message carries the seed and the diagram. */
export function scene(world: World, act: () => void): void {
  try {
    act();
  } catch (error) {
    const story = `seed ${world.seed}\n${world.mermaid()}`;
    if (error instanceof Error) error.message = `${error.message}\n${story}`;
    throw error;
  }
}

export function ipv4(source: Uint8Array, target: Uint8Array, text: string): Uint8Array {
  const payload = new TextEncoder().encode(text);
  const packet = new Uint8Array(20 + payload.length);
  packet[0] = 0x45;
  packet[2] = packet.length >> 8;
  packet[3] = packet.length & 0xff;
  packet.set(source, 12);
  packet.set(target, 16);
  packet.set(payload, 20);
  return packet;
}

function endpointOf(node: WorldNode): { address: Uint8Array; port: number } {
  return {
    address: node.address.slice(0, 4),
    port: ((node.address[4] as number) << 8) | (node.address[5] as number),
  };
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
