/**
 * The configured peers of a device, as the control thread keeps them: who they are, and which addresses are theirs.
 * An address range belongs to one peer at a time; giving it to another takes it away.
 * @module
 */
import { type Cidr, network } from '../noise/ip.ts';

export interface Peer {
  /** The number by which the data plane and the handshaker know the peer. */
  readonly id: number;
  readonly publicKey: Uint8Array;
  keepalive: number;
  readonly allowedIps: Map<string, Cidr>;
}

/** One string per range, short: a table of 130,000 of them is configured at once. */
function rangeKey({ address, prefix }: Cidr): string {
  return String.fromCharCode(prefix, ...address);
}

export class PeerBook {
  readonly #byKey = new Map<string, Peer>();
  readonly #byId = new Map<number, Peer>();
  readonly #owners = new Map<string, Peer>();
  readonly #freeIds: number[] = [];
  #nextId = 0;
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#byId.size;
  }

  /** In the order they were added. */
  all(): IterableIterator<Peer> {
    return this.#byKey.values();
  }

  byKey(publicKey: Uint8Array): Peer | undefined {
    return this.#byKey.get(String.fromCharCode(...publicKey));
  }

  byId(id: number): Peer | undefined {
    return this.#byId.get(id);
  }

  /** undefined when the device has all the peers it can have. */
  add(publicKey: Uint8Array): Peer | undefined {
    if (this.#byId.size >= this.#limit) return undefined;
    let id = this.#freeIds.pop();
    if (id === undefined) {
      id = this.#nextId;
      this.#nextId += 1;
    }
    const peer: Peer = { id, publicKey: Uint8Array.from(publicKey), keepalive: 0, allowedIps: new Map() };
    this.#byKey.set(String.fromCharCode(...publicKey), peer);
    this.#byId.set(id, peer);
    return peer;
  }

  remove(peer: Peer): void {
    this.disallowAll(peer);
    this.#byKey.delete(String.fromCharCode(...peer.publicKey));
    this.#byId.delete(peer.id);
    this.#freeIds.push(peer.id);
  }

  /** Returns the range with its host bits cleared. */
  allow(peer: Peer, range: Cidr): Cidr {
    const masked = network(range);
    const key = rangeKey(masked);
    const owner = this.#owners.get(key);
    if (owner !== peer) {
      owner?.allowedIps.delete(key);
      this.#owners.set(key, peer);
      peer.allowedIps.set(key, masked);
    }
    return masked;
  }

  /** The range, masked, when it was the peer's; undefined when it was not. */
  disallow(peer: Peer, range: Cidr): Cidr | undefined {
    const masked = network(range);
    const key = rangeKey(masked);
    if (!peer.allowedIps.delete(key)) return undefined;
    this.#owners.delete(key);
    return masked;
  }

  /** `range` with its host bits cleared. */
  owns(peer: Peer, range: Cidr): boolean {
    return peer.allowedIps.has(rangeKey(range));
  }

  disallowAll(peer: Peer): void {
    for (const key of peer.allowedIps.keys()) this.#owners.delete(key);
    peer.allowedIps.clear();
  }
}
