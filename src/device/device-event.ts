/**
 * What happens to an interface, for programs that run one from code (library.ts). kilowire-wg has no use for it.
 * @module
 */
import { REJECT_AFTER_TIME } from '../noise/constants.ts';
import type { Endpoint } from '../noise/ip.ts';
import type { Peer } from './peer-book.ts';

/** Two sides have agreed on new keys. */
export interface HandshakeEvent {
  /** The other side. A copy. */
  readonly publicKey: Uint8Array;
  /** Who asked. As responder our answer has been sent, and the initiator's first packet will confirm it. */
  readonly role: 'initiator' | 'responder';
  /** Milliseconds from our initiation to its response; only the initiator can tell. */
  readonly roundTrip: number | undefined;
}

/** A peer was heard, authenticated, from another address than before: packets go there from now on. */
export interface RoamEvent {
  readonly publicKey: Uint8Array;
  readonly endpoint: Endpoint;
}

/** Packets or messages that went no further; docs/drops.md explains each reason. */
export interface DropEvent {
  readonly reason: string;
  /** Since the last event with this reason. */
  readonly count: number;
}

/** @internal */
export type DeviceEvent =
  | ({ readonly kind: 'handshake'; readonly replacesSession: boolean } & HandshakeEvent)
  | ({ readonly kind: 'roam' } & RoamEvent);

interface Times {
  initiatedAt: number;
  agreedAt: number;
  roundTrip: number | undefined;
}

/**
 * When handshakes were begun and agreed, by peer. Times are monotonic milliseconds.
 * @internal
 */
export class HandshakeJournal {
  readonly #times = new WeakMap<Peer, Times>();

  #of(peer: Peer): Times {
    let times = this.#times.get(peer);
    if (times === undefined) {
      times = { initiatedAt: Number.NaN, agreedAt: Number.NEGATIVE_INFINITY, roundTrip: undefined };
      this.#times.set(peer, times);
    }
    return times;
  }

  initiated(peer: Peer, now: number): void {
    this.#of(peer).initiatedAt = now;
  }

  agreed(peer: Peer, role: HandshakeEvent['role'], now: number): DeviceEvent {
    const times = this.#of(peer);
    const replacesSession = now - times.agreedAt < REJECT_AFTER_TIME;
    times.agreedAt = now;
    if (role === 'initiator') times.roundTrip = now - times.initiatedAt;
    return {
      kind: 'handshake',
      publicKey: Uint8Array.from(peer.publicKey),
      role,
      roundTrip: role === 'initiator' ? times.roundTrip : undefined,
      replacesSession,
    };
  }

  /** For the process that comes after this one: begun, agreed, round trip; NaN: not known. */
  save(peer: Peer): readonly [number, number, number] {
    const { initiatedAt, agreedAt, roundTrip } = this.#of(peer);
    return [initiatedAt, agreedAt, roundTrip ?? Number.NaN];
  }

  restore(peer: Peer, [initiatedAt, agreedAt, roundTrip]: readonly [number, number, number]): void {
    const known = Number.isNaN(roundTrip) ? undefined : roundTrip;
    this.#times.set(peer, { initiatedAt, agreedAt, roundTrip: known });
  }

  /** Of the last handshake we began and the peer answered. */
  roundTrip(peer: Peer): number | undefined {
    return this.#times.get(peer)?.roundTrip;
  }
}
