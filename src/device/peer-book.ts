/**
 * The configured peers of a device, as the control thread keeps them: who they are, and which addresses are theirs.
 * An address range belongs to one peer at a time; giving it to another takes it away.
 * @module
 */
import { AllowedIps } from '../noise/allowed-ips.ts';
import type { Cidr } from '../noise/ip.ts';

/** Bytes of ranges, 18 each, that wait for the table at the most. */
const GIVEN_LIMIT = 8 << 20;

export interface Peer {
  /** The number by which the data plane and the handshaker know the peer. */
  readonly id: number;
  readonly publicKey: Uint8Array;
  keepalive: number;
}

export class PeerBook {
  readonly #byKey = new Map<string, Peer>();
  readonly #byId = new Map<number, Peer>();
  /** The same table as the data plane's, which need not be asked for it. */
  readonly #owners = new AllowedIps();
  /** Ranges given to peers and not yet in the table: they go into it when somebody asks, so that a `set` need not wait. */
  #given: { readonly peer: number; readonly packed: Uint8Array }[] = [];
  #givenBytes = 0;
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
    const peer: Peer = { id, publicKey: Uint8Array.from(publicKey), keepalive: 0 };
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

  /** Gives the ranges of a run (noise/packed-prefixes.ts), which is kept, to the peer. */
  allow({ id }: Peer, packed: Uint8Array): void {
    this.#given.push({ peer: id, packed });
    this.#givenBytes += packed.length;
    if (this.#givenBytes > GIVEN_LIMIT) this.#settle();
  }

  /** False: the range was not the peer's. */
  disallow(peer: Peer, { address, prefix }: Cidr): boolean {
    this.#settle();
    return this.#owners.remove(address, prefix, peer.id);
  }

  disallowAll(peer: Peer): void {
    this.#settle();
    this.#owners.removePeer(peer.id);
  }

  /** With their host bits cleared: first IPv4, then IPv6, each in the order they were given to the peer. */
  allowedIps(peer: Peer): Cidr[] {
    this.#settle();
    return this.#owners.rangesOf(peer.id);
  }

  #settle(): void {
    if (this.#given.length === 0) return;
    for (const { peer, packed } of this.#given) this.#owners.insertPacked(packed, peer);
    this.#given = [];
    this.#givenBytes = 0;
  }
}
