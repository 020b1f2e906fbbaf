/**
 * The handshake side of a device carried into another process: who we are, what each peer was last sent and last sent
 * us, and the initiations that wait for an answer. Rate limits and the secret of our own cookies start anew.
 *
 *     handshaker  private key, optional | clock label, removed label, optional | count u32 | peer record …
 *     peer        id u32 | public key | preshared key | has sent u8, last sent index u32 | last sent, initiated,
 *                 last initiation f64 | labels sent, received, optional | mac1, cookie, optional | cookie taken f64
 *                 | initiation under way: u8, local index u32, ephemeral pair, chaining key, hash
 * @module
 */
import { KEY_SIZE, MAC_SIZE, TAI64N_SIZE } from './constants.ts';
import type { HandshakePeer } from './handshake-peer.ts';
import type { Handshaker } from './handshaker.ts';
import { type Primitives, secretCopy, wipe } from './primitives.ts';
import type { RandomIndices } from './session-keys.ts';
import type { StateReader, StateWriter } from './state-bytes.ts';
import { SymmetricState } from './symmetric-state.ts';
import { stamp, type Tai64nClock } from './tai64n.ts';

/** What of a handshaker is carried over. */
export interface HandshakerMemory {
  readonly clock: Tai64nClock;
  readonly peers: ReadonlyMap<number, HandshakePeer>;
  readonly initiations: Map<number, HandshakePeer>;
  readonly lastSent: Map<number, HandshakePeer>;
}

/** `order`: the peers' numbers, as they shall be listed. */
export function writeHandshaker(handshaker: Handshaker, order: Iterable<number>, writer: StateWriter): void {
  const { clock, peers } = handshaker.memory;
  writer.optional(handshaker.privateKey);
  writer.optional(clock.last);
  writer.optional(handshaker.removedTimestamp);
  const list = [...order].map((id) => peers.get(id)).filter((peer) => peer !== undefined);
  writer.u32(list.length);
  for (const peer of list) writer.record(() => writePeer(peer, writer));
}

function writePeer(peer: HandshakePeer, writer: StateWriter): void {
  const { cookies, state } = peer;
  writer.u32(peer.id);
  writer.raw(peer.publicKey);
  writer.raw(peer.presharedKey);
  writer.u8(peer.lastSentIndex === null ? 0 : 1);
  writer.u32(peer.lastSentIndex ?? 0);
  writer.f64(peer.lastSentAt);
  writer.f64(peer.initiatedAt);
  writer.f64(peer.lastInitiationAt);
  writer.optional(peer.lastTimestampSent);
  writer.optional(peer.lastTimestampReceived);
  const { lastMac1, cookie, takenAt } = cookies.memory;
  writer.optional(lastMac1);
  writer.optional(cookie);
  writer.f64(takenAt);
  writer.u8(state.step === 'idle' ? 0 : 1);
  if (state.step === 'idle') return;
  const { chain, hash } = state.symmetric.parts;
  writer.u32(state.localIndex);
  writer.raw(state.ephemeral.privateKey);
  writer.raw(state.ephemeral.publicKey);
  writer.raw(chain);
  writer.raw(hash);
}

export interface HandshakerReading {
  readonly handshaker: Handshaker;
  readonly primitives: Primitives;
  readonly indices: RandomIndices;
  /** Gives a peer its number here; undefined: it is not wanted, and passed over. */
  readonly addPeer: (publicKey: Uint8Array, formerId: number) => number | undefined;
}

/** Reads what `writeHandshaker` wrote into one that knows nothing yet. Throws StateError. */
export function readHandshaker(reading: HandshakerReading, reader: StateReader): void {
  const { handshaker } = reading;
  const privateKey = reader.optional(KEY_SIZE);
  if (privateKey !== undefined) handshaker.setPrivateKey(privateKey);
  wipe(privateKey);
  const label = reader.optional(TAI64N_SIZE);
  if (label !== undefined) handshaker.memory.clock.last = label;
  handshaker.removedTimestamp = reader.optional(TAI64N_SIZE);
  for (let count = reader.u32(); count > 0; count -= 1) readPeer(reading, reader.record());
}

function readPeer(reading: HandshakerReading, reader: StateReader): void {
  const { handshaker, primitives, indices } = reading;
  const formerId = reader.u32();
  const publicKey = Uint8Array.from(reader.raw(KEY_SIZE));
  const id = reading.addPeer(publicKey, formerId);
  if (id === undefined || handshaker.addPeer(id, publicKey) !== 'added') return;
  handshaker.setPresharedKey(id, reader.raw(KEY_SIZE));
  const { peers, initiations, lastSent } = handshaker.memory;
  const peer = peers.get(id) as HandshakePeer;
  const hasSent = reader.u8() === 1;
  const lastSentIndex = reader.u32();
  if (hasSent) {
    peer.lastSentIndex = lastSentIndex;
    lastSent.set(lastSentIndex, peer);
  }
  peer.lastSentAt = reader.f64();
  peer.initiatedAt = reader.f64();
  peer.lastInitiationAt = reader.f64();
  peer.lastTimestampSent = reader.optional(TAI64N_SIZE);
  peer.lastTimestampReceived = reader.optional(TAI64N_SIZE) ?? null;
  const lastMac1 = reader.optional(MAC_SIZE) ?? null;
  const cookie = reader.optional(MAC_SIZE) ?? null;
  peer.cookies.memory = { lastMac1, cookie, takenAt: reader.f64() };
  if (reader.u8() === 0) return;
  const localIndex = reader.u32();
  const [privateKey, ephemeralPublic, chain, hash] = [0, 1, 2, 3].map(() =>
    secretCopy(reader.raw(KEY_SIZE)),
  ) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
  indices.adopt(localIndex);
  initiations.set(localIndex, peer);
  peer.state = {
    step: 'initiation-created',
    localIndex,
    ephemeral: { privateKey, publicKey: ephemeralPublic },
    symmetric: SymmetricState.restore(primitives, { chain, hash }),
  };
}

/**
 * Another process may have gone on from here for a moment, and has ended: what it began is forgotten, and what we send
 * from now on is labelled later than anything it can have sent. It had the same labels and the same clock to go by, and
 * spaces initiations by seconds, so two steps would do.
 */
export function forgetHandshakes(handshaker: Handshaker, wallNow: number): void {
  const { clock, peers } = handshaker.memory;
  clock.startAfter(stamp(Math.floor(wallNow / 1000), (wallNow % 1000) * 1e6));
  for (const peer of peers.values()) {
    handshaker.clearHandshake(peer.id);
    handshaker.resetSpacing(peer.id);
    if (peer.lastTimestampSent !== undefined) clock.startAfter(peer.lastTimestampSent);
  }
  for (let step = 0; step < 4; step += 1) clock.startAfter(clock.last);
}
