/**
 * What the handshake tests share: both implementations of the primitives, scripted randomness, hexadecimal.
 * @module
 */
import { readFileSync } from 'node:fs';
import { nativePrimitives } from '../../../src/device/native-primitives.ts';
import { noblePrimitives } from '../../../src/noise/noble.ts';
import type { Primitives } from '../../../src/noise/primitives.ts';

export type RandomBytes = (length: number) => Uint8Array;

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
export const unhex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'));
export const base64 = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'base64'));

/** The same bytes in every run: a xorshift generator. Not for anything but tests. */
export function seededRandom(seed: number): RandomBytes {
  let state = seed >>> 0 || 1;
  return (length) =>
    Uint8Array.from({ length }, () => {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      return state & 0xff;
    });
}

/** Gives out what a transcript drew, in its order; more draws than that are a fault of the test. */
export function scriptedRandom(...draws: readonly Uint8Array[]): RandomBytes {
  const left = [...draws];
  return (length) => {
    const next = left.shift();
    if (next?.length !== length) throw new Error(`unexpected draw of ${length} bytes`);
    return Uint8Array.from(next);
  };
}

export const implementations: readonly (readonly [string, (random: RandomBytes) => Primitives])[] = [
  ['noble', noblePrimitives],
  ['native', nativePrimitives],
];

/** Kernel selftest netns.sh: public keys that must never lead to a packet. */
export const LOW_ORDER_KEYS = [
  'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=',
  'AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=',
  '4Ot6fDtBuK4WVuP68Z/EatoJjeucMrH9hmIFFl9JuAA=',
  'X5yVvKNQjCSx0LFVnIPvWwREXMRYHI6G2CJO3dCfEVc=',
  '7P///////////////////////////////////////38=',
  '7f///////////////////////////////////////38=',
  '7v///////////////////////////////////////38=',
];

export interface KnownAnswer {
  readonly case: number;
  readonly initiator_static: string;
  readonly initiator_static_public: string;
  readonly responder_static: string;
  readonly responder_static_public: string;
  readonly initiator_ephemeral: string;
  readonly responder_ephemeral: string;
  readonly psk: string;
  readonly initiator_index: number;
  readonly responder_index: number;
  readonly tai64n: string;
  readonly initiation: string;
  readonly response: string;
  readonly initiator_send_key: string;
  readonly initiator_recv_key: string;
  readonly data: readonly {
    readonly direction: 'i2r' | 'r2i';
    readonly counter: number;
    readonly plaintext: string;
    readonly packet: string;
  }[];
  readonly cookie: string;
  readonly cookie_nonce: string;
  readonly cookie_reply: string;
  readonly initiation_with_mac2: string;
}

const KNOWN_ANSWERS = new URL('../../vectors/wg/wg-kat.json', import.meta.url);

/** Thirty-two transcripts by an independent Noise implementation. */
export function knownAnswers(): readonly KnownAnswer[] {
  return JSON.parse(readFileSync(KNOWN_ANSWERS, 'utf8')).cases;
}
