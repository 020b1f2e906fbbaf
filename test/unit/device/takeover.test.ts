/**
 * What a process that wants to take over makes of those it may meet, and a device's state there and back.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HandshakeJournal } from '../../../src/device/device-event.ts';
import {
  type DeviceFacts,
  type DeviceParts,
  readDevice,
  writeDevice,
} from '../../../src/device/device-state.ts';
import { nativePrimitives } from '../../../src/device/native-primitives.ts';
import { PeerBook } from '../../../src/device/peer-book.ts';
import { MAGIC } from '../../../src/device/takeover.ts';
import { readable, TakeoverChannel } from '../../../src/device/takeover-channel.ts';
import { takeOver } from '../../../src/device/takeover-taker.ts';
import * as libc from '../../../src/linux/libc.ts';
import { acceptConnection, listenSeqpacket, unixAddress } from '../../../src/linux/unix-socket.ts';
import { Handshaker } from '../../../src/noise/handshaker.ts';
import { cidr, formatCidr } from '../../../src/noise/ip.ts';
import { packPrefixes } from '../../../src/noise/packed-prefixes.ts';
import { RandomIndices } from '../../../src/noise/session-keys.ts';
import { StateError, StateWriter } from '../../../src/noise/state-bytes.ts';

describe('a process that wants to take over', () => {
  let folder: string;
  let path: string;
  let listener: number;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'kilowire-takeover-'));
    path = join(folder, 'wg0.takeover');
    listener = listenSeqpacket(unixAddress(path) as Buffer);
  });
  afterAll(() => {
    libc.close(listener);
    rmSync(folder, { recursive: true });
  });

  const options = (at = path, isServed = false) => ({
    interfaceName: 'wg0',
    path: at,
    isServed: () => isServed,
    over: new Promise<void>(() => undefined),
    makeDevice: () => {
      throw new Error('It must not come to this.');
    },
  });

  /** Lets it meet somebody who answers its greeting so, with so many descriptors. */
  async function meet(offer: Uint8Array | undefined, descriptors = 0): Promise<string> {
    const taking = takeOver(options()).then(
      () => 'taken',
      (error: Error & { code: string }) => `${error.code}: ${error.message}`,
    );
    expect(await readable(listener, 5000)).toBe(true);
    const channel = new TakeoverChannel(acceptConnection(listener));
    await channel.receive(['hello'], 5000);
    if (offer !== undefined) await channel.send('offer', 1000, offer, Array(descriptors).fill(listener));
    channel.close();
    return taking;
  }

  function offerOf(magic: Uint8Array, version: number): Uint8Array {
    const writer = new StateWriter();
    writer.raw(magic);
    writer.u32(version);
    writer.u32(1);
    return writer.bytes;
  }

  it.each([
    ['of a later version', offerOf(MAGIC, 99), 2, /hands over in version 99; this one reads 1/],
    [
      'that is something else',
      offerOf(Uint8Array.of(1, 2, 3, 4), 1),
      2,
      /offers nothing that can be taken over/,
    ],
    ['without an interface', offerOf(MAGIC, 1), 0, /offers nothing that can be taken over/],
    ['that leaves', undefined, 0, /left before 'offer'/],
  ])('gives up with one %s', async (_, offer, descriptors, words) => {
    const outcome = await meet(offer, descriptors);
    expect(outcome).toMatch(/^ERR_DEVICE_TAKEOVER: /);
    expect(outcome).toMatch(words);
  });

  it('says that nobody is there, or that whoever is knows no take-over', async () => {
    const none = join(folder, 'none');
    await expect(takeOver(options(none))).rejects.toThrow(/wg0 does not run here, so there is nothing/);
    await expect(takeOver(options(none, true))).rejects.toThrow(/What runs wg0 cannot hand it over/);
  });
});

describe("a device's state", () => {
  const primitives = nativePrimitives();
  const make = (): DeviceParts => {
    const indices = new RandomIndices(primitives.randomBytes);
    const handshaker = new Handshaker(primitives, indices);
    const journal = new HandshakeJournal();
    return { book: new PeerBook(16), handshaker, indices, primitives, journal, drops: new Map() };
  };
  const facts: DeviceFacts = {
    port: 51_820,
    mark: 0xffff_ffff,
    fd4: 12,
    fd6: -1,
    segmentation: true,
    isUp: true,
    linkIsUp: true,
    mtu: 1380,
    owed: [2],
    mail: [{ message: Uint8Array.of(1, 2, 3), endpoint: new Uint8Array(64).fill(5) }],
  };
  const privateKey = primitives.generateKeypair().privateKey;

  /** Three peers, of which the first is removed again, so that numbers and places differ. */
  function used(): { parts: DeviceParts; keys: Uint8Array[] } {
    const parts = make();
    const { book, handshaker, journal, drops } = parts;
    handshaker.setPrivateKey(privateKey);
    const keys = [0, 1, 2].map(() => primitives.generateKeypair().publicKey);
    const peers = keys.map((key) => {
      const peer = book.add(key);
      if (peer === undefined) throw new Error('full');
      handshaker.addPeer(peer.id, key);
      return peer;
    });
    const [first, second, third] = peers as [(typeof peers)[0], (typeof peers)[0], (typeof peers)[0]];
    book.allow(third, packPrefixes([cidr('10.0.0.0/8'), cidr('fd00::/8')]));
    book.allow(second, packPrefixes([cidr('10.1.0.0/16')]));
    third.keepalive = 25;
    journal.restore(third, [1, 2, 3.5]);
    drops.set('bad-mac1', 7);
    book.remove(first);
    handshaker.removePeer(first.id);
    return { parts, keys };
  }

  it('is what it was, with peers numbered anew', () => {
    const { parts, keys } = used();
    const plane = Uint8Array.of(1, 2, 3, 4);
    const bytes = Uint8Array.from(writeDevice(parts, facts, plane).bytes);
    expect(
      plane.every((byte) => byte === 0),
      'it was wiped',
    ).toBe(true);
    const next = make();
    const ranges: string[] = [];
    const reading = readDevice(next, bytes, ({ id }, packed) => ranges.push(`${id}: ${packed.length}`));
    expect(reading.facts).toEqual({ ...facts, fd4: 0, owed: [1] });
    expect([...reading.peers]).toEqual([1, 0, 2, 1]);
    expect([...reading.plane]).toEqual([1, 2, 3, 4]);
    expect(ranges).toEqual(['0: 18', '1: 36']);
    const [, third] = [...next.book.all()];
    if (third === undefined) throw new Error('a peer is missing');
    expect(third.publicKey).toEqual(keys[2]);
    expect(third.keepalive).toBe(25);
    expect(next.book.allowedIps(third).map(formatCidr)).toEqual(['10.0.0.0/8', 'fd00::/8']);
    expect(next.journal.roundTrip(third)).toBe(3.5);
    expect(next.drops).toEqual(new Map([['bad-mac1', 7]]));
    expect(next.handshaker.privateKey).toEqual(parts.handshaker.privateKey);
  });

  it('is refused when it is cut anywhere', () => {
    const { parts } = used();
    const bytes = Uint8Array.from(writeDevice(parts, facts, Uint8Array.of(1, 2, 3, 4)).bytes);
    for (let length = 0; length < bytes.length; length += 7) {
      expect(() => readDevice(make(), bytes.subarray(0, length), () => undefined)).toThrow(StateError);
    }
  });
});
