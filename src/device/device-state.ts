/**
 * Everything a device is, as bytes, for the process that takes its place. Version 1 (takeover.ts TAKEOVER_VERSION); a
 * later release may add fields at the end of any record.
 *
 *     sockets   | port, mark u32 | has IPv4, has IPv6, segmentation u8
 *     link      | up, link up u8 | MTU u32
 *     handshakes| noise/handshaker-state.ts
 *     peers     | count u32 | record: id, keepalive u32 | begun, agreed, round trip f64 | allowed IPs, packed
 *     drops     | count u32 | reason text, f64 …
 *     owed      | count u32 | peers that want an initiation u32 …
 *     mail      | count u32 | handshake message, endpoint record, bytes …
 *     plane     | plane-state.ts, bytes
 * @module
 */
import type { DropReason } from '../noise/handshake-outcome.ts';
import type { Handshaker } from '../noise/handshaker.ts';
import { readHandshaker, writeHandshaker } from '../noise/handshaker-state.ts';
import { PACKED_PREFIX_SIZE, packPrefixes } from '../noise/packed-prefixes.ts';
import { type Primitives, secretCopy } from '../noise/primitives.ts';
import type { RandomIndices } from '../noise/session-keys.ts';
import { StateError, StateReader, StateWriter } from '../noise/state-bytes.ts';
import type { HandshakeJournal } from './device-event.ts';
import type { Peer, PeerBook } from './peer-book.ts';

export interface Mail {
  readonly message: Uint8Array;
  readonly endpoint: Uint8Array;
}

/** What a device is made of on the control thread. */
export interface DeviceParts {
  readonly book: PeerBook;
  readonly handshaker: Handshaker;
  readonly indices: RandomIndices;
  readonly primitives: Primitives;
  readonly journal: HandshakeJournal;
  readonly drops: Map<DropReason, number>;
}

export interface DeviceFacts {
  readonly port: number;
  readonly mark: number;
  /** -1: there is none. Of the process that wrote it; only the sign is carried over. */
  readonly fd4: number;
  readonly fd6: number;
  readonly segmentation: boolean;
  readonly isUp: boolean;
  readonly linkIsUp: boolean;
  readonly mtu: number;
  /** Peers that asked for an initiation which nobody made yet. */
  readonly owed: readonly number[];
  /** Handshake messages that nobody read yet. */
  readonly mail: readonly Mail[];
}

/** `plane` is wiped. Full of secrets: wipe it. */
export function writeDevice(parts: DeviceParts, facts: DeviceFacts, plane: Uint8Array): StateWriter {
  const { book, handshaker, journal } = parts;
  const writer = new StateWriter();
  writer.record(() => {
    writer.u32(facts.port);
    writer.u32(facts.mark);
    for (const flag of [facts.fd4 >= 0, facts.fd6 >= 0, facts.segmentation]) writer.u8(flag ? 1 : 0);
  });
  writer.record(() => {
    for (const flag of [facts.isUp, facts.linkIsUp]) writer.u8(flag ? 1 : 0);
    writer.u32(facts.mtu);
  });
  const peers = [...book.all()];
  const ids = peers.map(({ id }) => id);
  writer.record(() => writeHandshaker(handshaker, ids, writer));
  writer.record(() => {
    writer.u32(peers.length);
    for (const peer of peers) {
      writer.record(() => {
        writer.u32(peer.id);
        writer.u32(peer.keepalive);
        for (const time of journal.save(peer)) writer.f64(time);
        writer.bytesOf(packPrefixes(book.allowedIps(peer)));
      });
    }
  });
  writer.record(() => {
    writer.u32(parts.drops.size);
    for (const [reason, count] of parts.drops) {
      writer.text(reason);
      writer.f64(count);
    }
  });
  writer.record(() => {
    writer.u32(facts.owed.length);
    for (const id of facts.owed) writer.u32(id);
  });
  writer.record(() => {
    writer.u32(facts.mail.length);
    for (const { message, endpoint } of facts.mail) {
      writer.bytesOf(message);
      writer.bytesOf(endpoint);
    }
  });
  writer.bytesOf(plane);
  plane.fill(0);
  return writer;
}

export interface DeviceReading {
  readonly facts: DeviceFacts;
  /** A peer's number there and its number here, in pairs. */
  readonly peers: Int32Array;
  /** Of the data plane: a copy of its own, to be handed on. */
  readonly plane: Uint8Array<ArrayBuffer>;
}

/**
 * Becomes what was written, on this thread; the caller tells the data plane. `added` hears of each peer and its allowed
 * IPs. Throws StateError, and then the device is of no use.
 */
export function readDevice(
  parts: DeviceParts,
  bytes: Uint8Array,
  added: (peer: Peer, allowedIps: Uint8Array) => void,
): DeviceReading {
  const { book, journal } = parts;
  const reader = new StateReader(bytes);
  const sockets = reader.record();
  const [port, mark] = [sockets.u32(), sockets.u32()];
  const [fd4, fd6, segmentation] = [sockets.u8() - 1, sockets.u8() - 1, sockets.u8() === 1];
  const link = reader.record();
  const [isUp, linkIsUp, mtu] = [link.u8() === 1, link.u8() === 1, link.u32()];
  const here = new Map<number, Peer>();
  const addPeer = (publicKey: Uint8Array, formerId: number): number | undefined => {
    const peer = book.add(publicKey);
    if (peer !== undefined) here.set(formerId, peer);
    return peer?.id;
  };
  readHandshaker({ ...parts, addPeer }, reader.record());
  const peers = reader.record();
  for (let count = peers.u32(); count > 0; count -= 1) {
    const record = peers.record();
    const peer = here.get(record.u32());
    if (peer === undefined) throw new StateError('more peers than keys');
    peer.keepalive = record.u32();
    journal.restore(peer, [record.f64(), record.f64(), record.f64()]);
    const allowedIps = Uint8Array.from(record.bytesOf());
    if (allowedIps.length % PACKED_PREFIX_SIZE !== 0) throw new StateError('half a range');
    book.allow(peer, allowedIps);
    added(peer, allowedIps);
  }
  const drops = reader.record();
  for (let count = drops.u32(); count > 0; count -= 1) {
    parts.drops.set(drops.text() as DropReason, drops.f64());
  }
  const owing = reader.record();
  const owed = Array.from({ length: owing.u32() }, () => here.get(owing.u32())?.id).filter(
    (id) => id !== undefined,
  );
  const letters = reader.record();
  const mail = Array.from({ length: letters.u32() }, () => ({
    message: Uint8Array.from(letters.bytesOf()),
    endpoint: Uint8Array.from(letters.bytesOf()),
  }));
  const plane = secretCopy(reader.bytesOf());
  return {
    facts: { port, mark, fd4, fd6, segmentation, isUp, linkIsUp, mtu, owed, mail },
    peers: Int32Array.from([...here].flatMap(([former, { id }]) => [former, id])),
    plane,
  };
}
