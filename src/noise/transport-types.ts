/**
 * What a Transport is made from, where that lies in memory, and the codes in which it answers on the packet path.
 * @module
 */
import { KEYPAIR_SIZE } from './keypairs.ts';
import { ENDPOINT_SIZE } from './peer-table.ts';
import type { StagedLimits } from './staged.ts';

/** routeOut: no peer has the destination among its allowed IPs. (MALFORMED is -1.) */
export const NO_ROUTE = -2;
/** acceptInner: the packet's source is not among the allowed IPs of the peer it came from. */
export const WRONG_SOURCE = -2;

/** opened: the packet is new. */
export const ACCEPTED = 0;
/** opened: the packet is new and the first under a new key: the handshake is confirmed, what was staged may go. */
export const CONFIRMED = 1;
/** opened: seen before, too old, or beyond the last counter. */
export const REPLAYED = -1;

export interface TransportOptions {
  /** Where keypairs, endpoints and staged packets lie, at the offsets below. Fixed: it must never move or grow. */
  readonly memory: Uint8Array;
  /** Peers there is room for. A peer is a number below this. */
  readonly maxPeers: number;
  /** Offset of maxPeers endpoint records of ENDPOINT_SIZE bytes. */
  readonly endpoints: number;
  /** Offset, a multiple of 16, of `keypairSlots` slots of KEYPAIR_SIZE bytes; 2 × maxPeers never run out. */
  readonly keypairs: number;
  readonly keypairSlots: number;
  /** Offset and size of the slab of staged packets. */
  readonly staged: number;
  readonly stagedSize: number;
  readonly stagedLimits?: StagedLimits;
  /** Uniform in [0, 1): the jitter of timers. */
  readonly random: () => number;
}

/** Offsets for TransportOptions in a memory of their own, and the size it must have. */
export function layOut(
  maxPeers: number,
  stagedSize: number,
): Pick<
  TransportOptions,
  'maxPeers' | 'endpoints' | 'keypairs' | 'keypairSlots' | 'staged' | 'stagedSize'
> & {
  readonly size: number;
} {
  const keypairSlots = 2 * maxPeers;
  const keypairs = maxPeers * ENDPOINT_SIZE;
  const staged = keypairs + keypairSlots * KEYPAIR_SIZE;
  return { maxPeers, endpoints: 0, keypairs, keypairSlots, staged, stagedSize, size: staged + stagedSize };
}
