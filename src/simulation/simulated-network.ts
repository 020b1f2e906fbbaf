/**
 * The network under a simulated mesh: who can send datagrams to whom, by which addresses, and what devices learn from that.
 * A tunnel lives when both devices know each other and one of them can dial the other; traffic is taken for granted, so sessions
 * that can be made are made. What devices do packet by packet is shown elsewhere, with real tunnels.
 * Source: WireGuard paper §2.1 (roaming), RFC 4787 (endpoint-independent mapping, address-dependent filtering, hairpinning as
 * REQ-9 asks for).
 * @module
 */
import { type Address, type Endpoint, sameAddress, sameEndpoint } from '../noise/ip.ts';
import type { SimulatedHost } from './simulated-host.ts';

/** How a host is connected. */
export interface Attachment {
  readonly host: SimulatedHost;
  readonly location: string;
  /** Base64 of the device's public key. */
  readonly key: string;
  /** In its location. */
  readonly privateAddress: Address | null;
  /** Its own public one; null: behind its location's NAT. */
  readonly publicAddress: Address | null;
  /** What the NAT makes of its port 51820. */
  readonly mapped: Endpoint;
  readonly port: number;
  /** Power is on. */
  up: boolean;
}

export class SimulatedNetwork {
  readonly #byKey = new Map<string, Attachment>();
  /** Pairs of locations between which nothing passes. */
  readonly #cuts = new Set<string>();

  attach(attachment: Attachment): void {
    this.#byKey.set(attachment.key, attachment);
  }

  detach(attachment: Attachment): void {
    if (this.#byKey.get(attachment.key) === attachment) this.#byKey.delete(attachment.key);
  }

  byKey(key: string): Attachment | undefined {
    return this.#byKey.get(key);
  }

  get attachments(): Iterable<Attachment> {
    return this.#byKey.values();
  }

  cut(a: string, b: string): void {
    this.#cuts.add([a, b].toSorted().join('\n'));
  }

  heal(): void {
    this.#cuts.clear();
  }

  isCut(a: string, b: string): boolean {
    return this.#cuts.size > 0 && this.#cuts.has([a, b].toSorted().join('\n'));
  }

  /** Where the device of `from` hears that of `to` now; null: it does not. */
  heard(from: Attachment, key: string): Endpoint | null {
    const to = this.#byKey.get(key);
    if (to === undefined || !from.up || !to.up || this.isCut(from.location, to.location)) return null;
    const there = to.host.peers.get(from.key);
    const here = from.host.peers.get(key);
    if (there === undefined || here === undefined) return null;
    const dials = this.#reaches(from, here.endpoint, to);
    if (!dials && !this.#reaches(to, there.endpoint, from)) return null;
    return sourceOf(to, from);
  }

  /** Whether datagrams to that endpoint come to the other's device. */
  #reaches(from: Attachment, endpoint: Endpoint | undefined, to: Attachment): boolean {
    if (endpoint === undefined) return false;
    if (from.location === to.location && to.privateAddress !== null)
      if (endpoint.port === to.port && sameAddress(endpoint.address, to.privateAddress)) return true;
    if (to.publicAddress !== null)
      return endpoint.port === to.port && sameAddress(endpoint.address, to.publicAddress);
    if (!sameEndpoint(endpoint, to.mapped)) return false;
    if (from.location === to.location) return true;
    // The NAT lets in whom its inside sends to as well: both dial.
    const back = to.host.peers.get(from.key)?.endpoint;
    return back !== undefined && sameEndpoint(back, sourceOf(from, to));
  }
}

/** What the other sees datagrams come from. */
const sourceOf = (sender: Attachment, receiver: Attachment): Endpoint => {
  if (sender.location === receiver.location && sender.privateAddress !== null)
    return { address: sender.privateAddress, port: sender.port };
  return sender.publicAddress === null ? sender.mapped : { address: sender.publicAddress, port: sender.port };
};
