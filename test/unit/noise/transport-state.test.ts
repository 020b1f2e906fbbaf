/**
 * A transport and a handshaker written down and read back: what they are must be what they were, to the last counter.
 */
import { describe, expect, it } from 'vitest';
import { FLUSH_STAGED, INITIATE, KEEPALIVE } from '../../../src/noise/action-queue.ts';
import { StateError, StateReader, StateWriter } from '../../../src/noise/state-bytes.ts';
import { ACCEPTED, layOut, NONE, REPLAYED, Transport } from '../../../src/noise/transport.ts';
import { readTransport, renewSessions, writeTransport } from '../../../src/noise/transport-state.ts';

interface Made {
  readonly transport: Transport;
  readonly memory: Uint8Array;
}

function make(): Made {
  const layout = layOut(8, 64 * 1024);
  const memory = new Uint8Array(layout.size);
  return { transport: new Transport({ ...layout, memory, random: () => 0.5 }), memory };
}

const session = (peer: number, localIndex: number, isInitiator: boolean, createdAt: number) => ({
  peer,
  localIndex,
  remoteIndex: localIndex ^ 0xffff,
  sendKey: new Uint8Array(32).fill(localIndex & 0xff),
  receiveKey: new Uint8Array(32).fill((localIndex + 1) & 0xff),
  isInitiator,
  createdAt,
});

function drained({ transport }: Made): [number, number][] {
  const found: [number, number][] = [];
  while (transport.actions.next()) found.push([transport.actions.kind, transport.actions.value]);
  return found;
}

/** A device that has been at it for a while. */
function used(): Made {
  const made = make();
  const { transport, memory } = made;
  transport.deviceUp(0);
  for (const peer of [0, 3]) {
    transport.addPeer(peer);
    transport.setEndpoint(peer, Uint8Array.of(2, 0, 0x27, 0x10 + peer, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0));
  }
  transport.setKeepalive(3, 25, 1000);
  transport.wallOffset = 1e12;
  transport.installKeypair(session(3, 0x1001, true, 1000), 1000);
  transport.installKeypair(session(3, 0x1002, true, 5000), 5000);
  transport.installKeypair(session(3, 0x8000_1003, false, 9000), 9000);
  const current = transport.usableKeypair(3, 9000);
  expect(transport.reserve(current, 777)).toBe(0);
  for (const counter of [0, 1, 2, 5, 9000]) {
    expect(transport.opened(transport.receiveKeypair(0x1002, 9000), 0, counter, 9000)).toBe(ACCEPTED);
  }
  transport.sent(3, 1480, true, 9100);
  transport.received(3, 96, true, 9200);
  memory.set([0x45, 1, 2, 3], 0);
  const packet = new Uint8Array(3000).map((_, i) => i);
  transport.stage(0, packet, 0, packet.length, 9300);
  transport.stage(0, packet, 0, 7, 9300);
  drained(made);
  return made;
}

function carried(
  from: Made,
  peerOf = (id: number): number | undefined => id,
): { to: Made; indices: number[] } {
  const writer = new StateWriter();
  writeTransport(from.transport, from.memory, writer);
  const to = make();
  for (const peer of [0, 3]) to.transport.addPeer(peerOf(peer) ?? 7);
  const indices = readTransport(to.transport, new StateReader(Uint8Array.from(writer.bytes)), peerOf);
  return { to, indices };
}

describe('a transport in another process', () => {
  it('goes on with the next counter of every session, and in the same places', () => {
    const { to, indices } = carried(used());
    const { keypairs } = to.transport;
    expect(indices).toEqual([0x1002, 0x8000_1003]);
    expect(keypairs.previous(3)).toBe(NONE);
    expect(keypairs.localIndexOf[keypairs.current(3)]).toBe(0x1002);
    expect(keypairs.localIndexOf[keypairs.next(3)]).toBe(0x8000_1003);
    const slot = to.transport.usableKeypair(3, 9000);
    expect(to.transport.reserve(slot, 2)).toBe(777);
    expect(keypairs.remoteIndexOf[slot]).toBe(0x1002 ^ 0xffff);
    const at = keypairs.sendKey(slot);
    expect([...to.memory.subarray(at, at + 32)]).toEqual(Array(32).fill(2));
    expect([...to.memory.subarray(at + 32, at + 64)]).toEqual(Array(32).fill(3));
  });

  it('takes no packet twice that the other one took, and every other', () => {
    const { transport } = carried(used()).to;
    const slot = transport.receiveKeypair(0x1002, 9000);
    for (const counter of [2, 5, 9000]) expect(transport.opened(slot, 0, counter, 9000)).toBe(REPLAYED);
    for (const counter of [3000, 8999, 9001]) expect(transport.opened(slot, 0, counter, 9000)).toBe(ACCEPTED);
  });

  it('says nothing of its own accord: no keepalive, no handshake', () => {
    expect(drained(carried(used()).to)).toEqual([]);
  });

  it('keeps counters, endpoints, handshake times and the hours of its timers', () => {
    const from = used();
    const { to } = carried(from, (id) => (id === 3 ? 1 : 0));
    expect(to.transport.txBytes(1)).toBe(1480);
    expect(to.transport.rxBytes(1)).toBe(96);
    // By hand: the initiator's second handshake was complete at 5000 on a clock that is 10^12 behind.
    expect(to.transport.peers.lastHandshake(1)).toBe(1e12 + 5000);
    const at = to.transport.endpointOffset(1);
    expect([...to.memory.subarray(at, at + 8)]).toEqual([2, 0, 0x27, 0x13, 192, 0, 2, 1]);
    expect(to.transport.timers.keepaliveInterval(1)).toBe(25);
    expect(to.transport.nextDeadline()).toBe(from.transport.nextDeadline());
    // Ten seconds after data came in (9200), a keepalive says that we are there.
    to.transport.expire(19_200);
    expect(drained(to)).toContainEqual([KEEPALIVE, 1]);
  });

  it('still has the packets that wait, in their order', () => {
    const { transport } = carried(used()).to;
    const target = new Uint8Array(4000);
    expect(transport.unstage(0, target, 0)).toBe(3000);
    expect([...target.subarray(0, 3000)]).toEqual(Array.from({ length: 3000 }, (_, i) => i & 255));
    expect(transport.unstage(0, target, 0)).toBe(7);
    expect(transport.unstage(0, target, 0)).toBe(-1);
  });

  it('leaves the one it came from as it was', () => {
    const from = used();
    carried(from);
    expect(from.transport.staged.count(0)).toBe(2);
    expect(from.transport.reserve(from.transport.usableKeypair(3, 9000), 1)).toBe(777);
    expect(from.transport.unstage(0, new Uint8Array(4000), 0)).toBe(3000);
  });

  it('passes over a peer that is not wanted', () => {
    const { to } = carried(used(), (id) => (id === 3 ? undefined : id));
    expect(to.transport.receiveKeypair(0x1002, 9000)).toBe(NONE);
    expect(to.transport.staged.count(0)).toBe(2);
  });

  it('is refused when a piece is missing or wrong, wherever that is', () => {
    const from = used();
    const writer = new StateWriter();
    writeTransport(from.transport, from.memory, writer);
    const whole = Uint8Array.from(writer.bytes);
    for (let length = 0; length < whole.length; length += 1 + (length >> 3)) {
      const { transport } = make();
      transport.addPeer(0);
      transport.addPeer(3);
      const cut = new StateReader(whole.subarray(0, length));
      expect(() => readTransport(transport, cut, (id) => id)).toThrow(StateError);
    }
  });
});

describe('sessions that another process may have used', () => {
  it('are gone, and new ones are asked for at once', () => {
    const made = used();
    renewSessions(made.transport, 9400);
    expect(made.transport.receiveKeypair(0x1002, 9400)).toBe(NONE);
    expect(made.transport.usableKeypair(3, 9400)).toBe(NONE);
    const actions = drained(made);
    expect(actions).toContainEqual([INITIATE, 3]);
    expect(actions.map(([kind]) => kind)).not.toContain(FLUSH_STAGED);
  });
});

describe('a record', () => {
  it('may have grown since: what the reader does not know is passed over, what is missing is known to be', () => {
    const writer = new StateWriter();
    writer.record(() => {
      writer.u32(7);
      writer.text('from a later release');
    });
    writer.u8(9);
    const reader = new StateReader(Uint8Array.from(writer.bytes));
    const record = reader.record();
    expect(record.u32()).toBe(7);
    expect(record.hasMore).toBe(true);
    expect(reader.u8()).toBe(9);
    expect(reader.hasMore).toBe(false);
    expect(() => reader.u32()).toThrow(StateError);
  });

  it('leaves nothing in the buffers it outgrew', () => {
    const writer = new StateWriter();
    writer.raw(new Uint8Array(1000).fill(7));
    const first = writer.bytes.buffer;
    writer.raw(new Uint8Array(200_000).fill(7));
    expect(new Uint8Array(first).every((byte) => byte === 0)).toBe(true);
    writer.wipe();
    expect(writer.bytes.every((byte) => byte === 0)).toBe(true);
  });
});
