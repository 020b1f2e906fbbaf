/**
 * What a Tunnel is made from, and the words in which it answers. The shape is boringtun's: one outcome for every call.
 * @module
 */
import type { DropReason } from './handshake-outcome.ts';
import type { Primitives } from './primitives.ts';
import type { TransportCipher } from './transport-cipher.ts';

/** Where a tunnel puts what it makes. */
export interface TunnelOutput {
  /** Send this to that address. */
  datagram(bytes: Uint8Array, address: Uint8Array): void;
  /** An IP packet came from the peer; its source address is one that the peer may use. */
  packet(bytes: Uint8Array, peer: number): void;
}

/** What a tunnel is made from. */
export interface TunnelOptions {
  readonly primitives: Primitives;
  readonly output: TunnelOutput;
  /** noble by default. */
  readonly cipher?: TransportCipher;
  readonly maxPeers?: number;
  /** Of the inner network: packets are not padded beyond it. */
  readonly mtu?: number;
  /** Bytes for packets that wait for a session, of all peers together. */
  readonly stagedSize?: number;
  /** Time of day minus `now`. */
  readonly wallOffset?: number;
}

/** What became of a packet: `staged` waits for the session that was just asked for. */
export type SendOutcome = 'sent' | 'staged' | 'down' | 'malformed' | 'no-route' | 'no-endpoint' | 'dropped';

/** What became of a datagram. */
export type ReceiveOutcome =
  | 'data'
  | 'keepalive'
  /** We answered an initiation, or a flood of them with a cookie. */
  | 'response'
  | 'cookie-reply'
  /** Our initiation was answered. */
  | 'established'
  | 'cookie-stored'
  | 'down'
  | 'bad-tag'
  | 'replayed'
  /** The inner packet is no IP packet, or not one that this peer may send. */
  | 'bad-packet'
  | 'wrong-source'
  | DropReason;

/** One peer of a tunnel. */
export interface TunnelPeerStatus {
  readonly endpoint: Uint8Array | null;
  readonly txBytes: number;
  readonly rxBytes: number;
  /** Time of day in ms, 0: never. */
  readonly lastHandshake: number;
  readonly hasSession: boolean;
}
