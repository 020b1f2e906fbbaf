/**
 * The transport side of a device carried into another process: sessions with their counters and replay windows, timers,
 * endpoints, byte counters, staged packets. Configuration (peers, allowed IPs) travels apart and is there first.
 *
 *     transport   up u8 | count u32 | peer record …
 *     peer        id u32 | tx, rx, last handshake, last sent, last requested f64 | endpoint record, bytes
 *                 | timers: count u32, f64 … | sessions: count u8, session record … | staged: count u32, bytes …
 *     session     place u8 | local, remote index u32 | created, send counter f64 | initiator u8 | send, receive key
 *                 | replay window without its trailing zeros, bytes
 * @module
 */
import { KEY_SIZE } from './constants.ts';
import { CURRENT, type Keypairs, NEXT, NONE, type Place, PREVIOUS, SEND_LIMIT } from './keypairs.ts';
import { ENDPOINT_SIZE } from './peer-table.ts';
import { secretCopy } from './primitives.ts';
import { REPLAY_WORDS } from './replay.ts';
import { StateError, type StateReader, type StateWriter } from './state-bytes.ts';
import { TIMER_NUMBERS } from './timers.ts';
import type { Transport } from './transport.ts';

const PLACES: readonly Place[] = [PREVIOUS, CURRENT, NEXT];

/** Writes everything down. `memory` is the transport's. Its actions must have been drained. */
export function writeTransport(transport: Transport, memory: Uint8Array, writer: StateWriter): void {
  const ids: number[] = [];
  for (let peer = 0; peer < transport.peers.limit; peer += 1) if (transport.hasPeer(peer)) ids.push(peer);
  writer.u8(transport.isUp ? 1 : 0);
  writer.u32(ids.length);
  for (const peer of ids) writer.record(() => writePeer(transport, memory, peer, writer));
}

function writePeer(transport: Transport, memory: Uint8Array, peer: number, writer: StateWriter): void {
  const { peers, keypairs, timers, staged } = transport;
  writer.u32(peer);
  writer.f64(peers.txBytes(peer));
  writer.f64(peers.rxBytes(peer));
  writer.f64(peers.lastHandshake(peer));
  writer.f64(peers.lastSent(peer));
  writer.f64(peers.lastRequested(peer));
  const endpoint = peers.endpointOffset(peer);
  writer.bytesOf(memory.subarray(endpoint, endpoint + ENDPOINT_SIZE));
  const numbers = timers.save(peer);
  writer.u32(numbers.length);
  for (const number of numbers) writer.f64(number);
  const places = PLACES.filter((place) => keypairs.at(peer, place) !== NONE);
  writer.u8(places.length);
  for (const place of places) {
    writer.record(() => writeSession(keypairs, memory, keypairs.at(peer, place), place, writer));
  }
  writer.u32(staged.count(peer));
  staged.each(peer, (packet) => writer.bytesOf(packet));
}

function writeSession(
  keypairs: Keypairs,
  memory: Uint8Array,
  slot: number,
  place: Place,
  writer: StateWriter,
): void {
  const key = (at: number): Uint8Array => memory.subarray(at, at + KEY_SIZE);
  writer.u8(place);
  writer.u32(keypairs.localIndexOf[slot] as number);
  writer.u32(keypairs.remoteIndexOf[slot] as number);
  writer.f64(keypairs.createdAtOf[slot] as number);
  writer.f64(keypairs.sendCounterOf[slot] as number);
  writer.u8(keypairs.initiatorOf[slot] as number);
  writer.raw(key(keypairs.sendKey(slot)));
  writer.raw(key(keypairs.receiveKey(slot)));
  const window = keypairs.replayWindow(slot);
  let words = window.length;
  while (words > 0 && window[words - 1] === 0) words -= 1;
  writer.u32(4 * words);
  for (let i = 0; i < words; i += 1) writer.u32(window[i] as number);
}

/**
 * Reads what `writeTransport` wrote into a transport whose peers are configured and have never been used. `peerOf` gives
 * a peer's number here, undefined: passed over. Returns the local indices of the sessions.
 * @throws StateError; then the transport is of no use.
 */
export function readTransport(
  transport: Transport,
  reader: StateReader,
  peerOf: (id: number) => number | undefined,
): number[] {
  // Up before a peer has its keepalive interval, or each would send one now.
  if (reader.u8() === 1) transport.deviceUp(0);
  const indices: number[] = [];
  for (let count = reader.u32(); count > 0; count -= 1) {
    const record = reader.record();
    const peer = peerOf(record.u32());
    if (peer !== undefined && transport.hasPeer(peer)) readPeer(transport, peer, record, indices);
  }
  return indices;
}

function readPeer(transport: Transport, peer: number, reader: StateReader, indices: number[]): void {
  const { peers, timers, staged } = transport;
  peers.countTx(peer, reader.f64());
  peers.countRx(peer, reader.f64());
  peers.handshakeCompleted(peer, reader.f64());
  peers.handshakeSent(peer, reader.f64());
  peers.handshakeRequested(peer, reader.f64());
  const endpoint = reader.bytesOf();
  if (endpoint.length !== ENDPOINT_SIZE) throw new StateError(`an endpoint of ${endpoint.length} bytes`);
  peers.roam(peer, endpoint, 0);
  const numbers = Array.from({ length: reader.u32() }, () => reader.f64());
  if (numbers.length < TIMER_NUMBERS) throw new StateError(`${numbers.length} timer numbers`);
  timers.restore(peer, numbers);
  for (let count = reader.u8(); count > 0; count -= 1) {
    indices.push(readSession(transport.keypairs, peer, reader.record()));
  }
  for (let count = reader.u32(); count > 0; count -= 1) {
    const packet = reader.bytesOf();
    staged.push(peer, packet, 0, packet.length);
  }
}

function readSession(keypairs: Keypairs, peer: number, reader: StateReader): number {
  const number = reader.u8();
  const place = PLACES.find((known) => known === number);
  if (place === undefined) throw new StateError('a place that no session has');
  const localIndex = reader.u32();
  const remoteIndex = reader.u32();
  const createdAt = reader.f64();
  const sendCounter = reader.f64();
  const isInitiator = reader.u8() === 1;
  const sendKey = secretCopy(reader.raw(KEY_SIZE));
  const receiveKey = secretCopy(reader.raw(KEY_SIZE));
  if (!(sendCounter >= 0 && sendCounter <= SEND_LIMIT)) throw new StateError(`the counter ${sendCounter}`);
  const words = reader.u32() / 4;
  if (!(words <= REPLAY_WORDS)) throw new StateError(`a replay window of ${words} words`);
  const replay = Uint32Array.from({ length: words }, () => reader.u32());
  const keys = { peer, localIndex, remoteIndex, sendKey, receiveKey, isInitiator, createdAt };
  if (keypairs.restore(keys, place, sendCounter, replay) === NONE) throw new StateError('too many sessions');
  return localIndex;
}

/**
 * Throws every session away, for another process may have used it, and asks for a new one with every peer there was one
 * with. Then drain `actions`.
 */
export function renewSessions(transport: Transport, now: number): void {
  const { keypairs, peers } = transport;
  for (let peer = 0; peer < peers.limit; peer += 1) {
    if (!transport.hasPeer(peer)) continue;
    peers.allowHandshakeNow(peer);
    if (PLACES.every((place) => keypairs.at(peer, place) === NONE)) continue;
    keypairs.clear(peer);
    transport.requestHandshake(peer, now);
  }
}
