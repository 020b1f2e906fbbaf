/**
 * What the two threads of a device say to each other. The control thread decides (handshakes, configuration); the
 * data-plane thread owns packets, keys, tables and timers and is the only writer of them.
 *
 * Commands travel over a MessagePort in batches, with one byte on an eventfd to wake the poll loop. Handshake messages
 * that arrive travel the other way through a Mailbox, which a flood cannot grow.
 * @module
 */

import type { MacKeys } from '../noise/cookie.ts';
import type { Endpoint } from '../noise/ip.ts';
import { readEndpoint } from '../tun/endpoint.ts';

export interface PlaneBoot {
  readonly tunFd: number;
  /** Wakes the loop for commands. */
  readonly eventFd: number;
  readonly mailbox: SharedArrayBuffer;
  readonly crypto: 'wasm' | 'noble';
  readonly simd: 128 | 256;
  /** The TUN takes UDP trains (USO). */
  readonly udpOffload: boolean;
  /** Somebody wants to hear of every move of a peer. */
  readonly tellRoaming: boolean;
  /** Begin frozen: touch nothing until `thaw` (takeover.ts). */
  readonly frozen: boolean;
}

export type PlaneCommand =
  /** -1: that family is not there. */
  | { readonly kind: 'sockets'; readonly fd4: number; readonly fd6: number; readonly segmentation: boolean }
  | { readonly kind: 'link'; readonly up: boolean; readonly mtu: number }
  /** A descriptor whose readability means "ask for the link's state"; -1: none. */
  | { readonly kind: 'watch'; readonly fd: number }
  | { readonly kind: 'add-peer'; readonly peer: number }
  | { readonly kind: 'remove-peer'; readonly peer: number }
  /** An endpoint record (tun/endpoint.ts); drops the sticky source. */
  | { readonly kind: 'endpoint'; readonly peer: number; readonly record: Uint8Array }
  | { readonly kind: 'keepalive'; readonly peer: number; readonly seconds: number }
  /** A run of ranges (noise/packed-prefixes.ts). */
  | { readonly kind: 'allow'; readonly peer: number; readonly prefixes: Uint8Array }
  | { readonly kind: 'disallow'; readonly peer: number; readonly prefixes: Uint8Array }
  | { readonly kind: 'disallow-all'; readonly peer: number }
  /** The configuration of a peer is complete: send what waits for it. */
  | { readonly kind: 'configured'; readonly peer: number }
  /** Forget where answers should leave from: the port, mark or network has changed. */
  | { readonly kind: 'clear-sources' }
  /** The private key was replaced: sessions go on receiving, but none may send. */
  | { readonly kind: 'expire-keys' }
  | { readonly kind: 'initiation'; readonly peer: number; readonly message: Uint8Array }
  /** Sessions that were agreed on, as responder and as initiator: agreement.ts. */
  | { readonly kind: 'response'; readonly agreement: ArrayBuffer }
  | { readonly kind: 'established'; readonly agreement: ArrayBuffer }
  /** The private key has changed: what handshake messages are checked with; undefined: there is none. */
  | { readonly kind: 'identity'; readonly keys: MacKeys | undefined }
  /** Under noble: keys are gone, and their copies on the heap shall go too (aead/heap-scrub.ts). */
  | { readonly kind: 'scrub' }
  | { readonly kind: 'snapshot'; readonly id: number }
  /** Finish what is under way, read nothing more, and give away all there is: takeover.ts. */
  | { readonly kind: 'freeze' }
  /** Be what another data plane was. `peers`: its number and ours, in pairs. The state is handed over, and wiped. */
  | { readonly kind: 'import'; readonly state: Uint8Array; readonly peers: Int32Array }
  /** Go on. `renew`: another process may have used our sessions. */
  | { readonly kind: 'thaw'; readonly renew: boolean }
  | { readonly kind: 'stop' };

/** One row per peer asked for, in the order of `peers`. */
export interface PlaneSnapshot {
  readonly peers: Int32Array;
  /** Three numbers a peer: bytes sent, bytes received, wall-clock ms of the last handshake (0: never). */
  readonly numbers: Float64Array;
  /** ENDPOINT_SIZE bytes a peer. */
  readonly endpoints: Uint8Array;
  readonly drops: Readonly<Record<string, number>>;
  readonly slabBytes: number;
  /** Taken by packets that wait for a session. */
  readonly stagedBytes: number;
}

export type PlaneEvent =
  | { readonly kind: 'ready'; readonly backend: string; readonly refused: readonly string[] }
  /** The mailbox has something again. */
  | { readonly kind: 'mail' }
  | { readonly kind: 'initiate'; readonly peer: number; readonly isRetry: boolean }
  /** The peer's handshake state is out of date: wipe it. */
  | { readonly kind: 'handshake-stale'; readonly peer: number }
  /** A session is gone: its local index may be used again. */
  | { readonly kind: 'index-free'; readonly index: number }
  | { readonly kind: 'link-changed' }
  /** The peer is elsewhere now: an endpoint record. Only with PlaneBoot.tellRoaming. */
  | { readonly kind: 'roamed'; readonly peer: number; readonly record: Uint8Array }
  /** A command batch with a `sockets` command was carried out: what was open before may be closed. */
  | { readonly kind: 'sockets-taken' }
  /** One was closed from outside: there have to be new ones. */
  | { readonly kind: 'sockets-lost' }
  | { readonly kind: 'snapshot'; readonly id: number; readonly snapshot: PlaneSnapshot }
  /** The answer to `freeze`; the state is whoever's gets it, to be wiped. */
  | { readonly kind: 'frozen'; readonly state: Uint8Array<ArrayBuffer> }
  /** The answer to `import`: the local indices of the sessions; undefined: the state was no good. */
  | { readonly kind: 'imported'; readonly indices: readonly number[] | undefined }
  /** The answer to `thaw`, after a first turn of the loop. */
  | { readonly kind: 'running' }
  /** The interface was deleted. */
  | { readonly kind: 'gone' }
  | { readonly kind: 'stopped' }
  | { readonly kind: 'failed'; readonly message: string };

/** The address in an endpoint record (tun/endpoint.ts), as the configuration has it; undefined when there is none. */
export function endpointOf(table: Uint8Array, offset: number): Endpoint | undefined {
  const record = readEndpoint(table, offset);
  if (record === undefined) return undefined;
  const { address, port, scope } = record;
  return scope === 0 ? { address, port } : { address, port, zone: String(scope) };
}
