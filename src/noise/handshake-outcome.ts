/**
 * What may come of a handshake message, and why one is dropped.
 * Source: WireGuard paper §5.4; the order of checks is that of kernel receive.c.
 * @module
 */
import type { SessionKeys } from './session-keys.ts';

/** Each is a counter of the device: docs/drops.md says what they mean. */
export const dropReasons = [
  'malformed',
  'no-private-key',
  'bad-mac1',
  'rate-limited',
  'zero-secret',
  'bad-static',
  'unknown-peer',
  'bad-timestamp',
  'bad-tag',
  'replayed-timestamp',
  'flood',
  'unknown-index',
  'bad-cookie',
] as const;

export type DropReason = (typeof dropReasons)[number];

export type ConsumeOutcome =
  | { readonly kind: 'drop'; readonly reason: DropReason }
  /** Send it to the source of the message; no peer is involved. */
  | { readonly kind: 'cookie-reply'; readonly message: Uint8Array }
  /** We are responder: install the session as the next one, then send the message. */
  | {
      readonly kind: 'response';
      readonly peer: number;
      readonly message: Uint8Array;
      readonly session: SessionKeys;
    }
  /** We are initiator: the session may be used at once. */
  | { readonly kind: 'established'; readonly peer: number; readonly session: SessionKeys }
  /** The next initiation to this peer will carry mac2. */
  | { readonly kind: 'cookie-stored'; readonly peer: number };

export type InitiateOutcome =
  | {
      readonly kind: 'initiation';
      readonly peer: number;
      readonly message: Uint8Array;
      readonly localIndex: number;
    }
  /** The last message to this peer is less than REKEY_TIMEOUT old. */
  | { readonly kind: 'suppressed' }
  | { readonly kind: 'refused'; readonly reason: 'no-private-key' | 'unknown-peer' | 'zero-secret' };
