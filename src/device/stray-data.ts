/**
 * Data for a session we do not have, from where a peer of ours is: after a crash and a restart the peer goes on with the
 * session we lost, and would find out only after fifteen seconds without an answer. So we ask it for a new one.
 *
 * Nothing about such a datagram is proved, so it may only cost what anybody may cause: at most one initiation in
 * REKEY_TIMEOUT for each peer, to its endpoint as we know it and to no one else, and only while there is no session with
 * the peer. A stranger learns nothing by it: whoever is no peer's endpoint gets no answer, as ever.
 * Source: WireGuard paper §6.5 (endpoints), §6.1 (spacing); the rule itself is ours.
 * @module
 */
import { NONE, type Transport } from '../noise/transport.ts';
import { ENDPOINT_LENGTH } from '../tun/endpoint.ts';

/** Endpoints compared in a second: a flood of strays costs milliseconds of it, however many peers there are. */
const COMPARISONS_PER_SECOND = 1 << 20;
/** What one stray costs at least: a thousand a second are enough for anybody. */
const LEAST_COST = 1 << 10;
const PORT = 2;
const ADDRESS4 = 4;
const ADDRESS6 = 8;
const IPV6_LENGTH = 28;

export class StrayData {
  readonly #memory: Uint8Array;
  readonly #transport: Transport;
  #left = COMPARISONS_PER_SECOND;
  #second = Number.NEGATIVE_INFINITY;

  /** `memory` is the transport's, in which sources lie too. */
  constructor(memory: Uint8Array, transport: Transport) {
    this.#memory = memory;
    this.#transport = transport;
  }

  /** Data with an index we do not know came from the endpoint record at `source`. */
  seen(source: number, now: number): void {
    const transport = this.#transport;
    if (now - this.#second >= 1000) {
      this.#second = now;
      this.#left = COMPARISONS_PER_SECOND;
    }
    const { limit } = transport.peers;
    if (this.#left < limit) return;
    this.#left -= Math.max(limit, LEAST_COST);
    for (let peer = 0; peer < limit; peer += 1) {
      if (!transport.hasPeer(peer) || !this.#isFrom(source, transport.endpointOffset(peer))) continue;
      const hasSession =
        transport.usableKeypair(peer, now) !== NONE || transport.keypairs.next(peer) !== NONE;
      if (!hasSession) transport.requestHandshake(peer, now);
    }
  }

  /** Same address and port; the local address does not matter. */
  #isFrom(source: number, endpoint: number): boolean {
    const memory = this.#memory;
    const length = memory[source + ENDPOINT_LENGTH];
    if (memory[endpoint + ENDPOINT_LENGTH] !== length) return false;
    if (memory[source + PORT] !== memory[endpoint + PORT]) return false;
    if (memory[source + PORT + 1] !== memory[endpoint + PORT + 1]) return false;
    const from = length === IPV6_LENGTH ? ADDRESS6 : ADDRESS4;
    const to = length === IPV6_LENGTH ? ADDRESS6 + 16 : ADDRESS4 + 4;
    for (let i = from; i < to; i += 1) if (memory[source + i] !== memory[endpoint + i]) return false;
    return true;
  }
}
