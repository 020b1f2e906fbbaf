/**
 * The transport side by itself: what it asks for, and when, as the packet loop calls it.
 * @module
 */
import { beforeEach, describe, expect, test } from 'vitest';
import {
  ActionQueue,
  FLUSH_STAGED,
  HANDSHAKE_STALE,
  INITIATE,
  INITIATE_RETRY,
  KEEPALIVE,
  KEYPAIR_GONE,
} from '../../../src/noise/action-queue.ts';
import { SEND_LIMIT } from '../../../src/noise/keypairs.ts';
import {
  ACCEPTED,
  CONFIRMED,
  layOut,
  MALFORMED,
  NO_ROUTE,
  NONE,
  REPLAYED,
  Transport,
  WRONG_SOURCE,
} from '../../../src/noise/transport.ts';
import { ipv4 } from './world.ts';

const SECOND = 1000;
const NEVER = Number.POSITIVE_INFINITY;
const PEER = 3;
const OTHER = 5;
const US = Uint8Array.of(10, 0, 0, 1);
const THEM = Uint8Array.of(10, 0, 0, 2);
const OTHERS = Uint8Array.of(10, 0, 0, 3);
const PACKET = ipv4(US, THEM, 'payload');

let memory: Uint8Array;
let transport: Transport;
let index: number;

beforeEach(() => {
  const layout = layOut(8, 64 * 1024);
  memory = new Uint8Array(layout.size);
  transport = new Transport({ ...layout, memory, random: () => 0 });
  for (const [peer, address] of [
    [PEER, THEM],
    [OTHER, OTHERS],
  ] as const) {
    transport.addPeer(peer);
    transport.allowedIps.insert(address, 32, peer);
  }
  transport.deviceUp(0);
  index = 0xffff_ff00;
});

const NAMES = ['initiate', 'retry', 'keepalive', 'flush', 'gone', 'stale', 'roamed'];

/** What it wants done, as words. */
function wanted(): string[] {
  const list: string[] = [];
  while (transport.actions.next()) list.push(`${NAMES[transport.actions.kind]} ${transport.actions.value}`);
  return list;
}

function install(isInitiator: boolean, now: number, peer = PEER): number {
  index += 1;
  return transport.installKeypair(
    {
      peer,
      localIndex: index,
      remoteIndex: 1,
      sendKey: new Uint8Array(32),
      receiveKey: new Uint8Array(32),
      isInitiator,
      createdAt: now,
    },
    now,
  );
}

const stage = (now: number, peer = PEER): boolean => transport.stage(peer, PACKET, 0, PACKET.length, now);

describe('asking for a handshake', () => {
  test('is done once for many packets, while the first request is on its way', () => {
    for (let i = 0; i < 10; i += 1) stage(i);
    expect(wanted()).toEqual([`initiate ${PEER}`]);
    stage(50);
    expect(wanted()).toEqual([]);
    stage(150);
    expect(wanted()).toEqual([`initiate ${PEER}`]);
  });

  test('is not done within 5 s of an initiation or response sent', () => {
    transport.initiationSent(PEER, 148, 1000);
    stage(5999);
    expect(wanted()).toEqual([]);
    stage(6000);
    expect(wanted()).toEqual([`initiate ${PEER}`]);
    transport.responseSent(PEER, 92, 6500);
    stage(11_499);
    expect(wanted()).toEqual([]);
    stage(11_500);
    expect(wanted()).toEqual([`initiate ${PEER}`]);
  });

  test('need not wait after a change of the private key', () => {
    transport.initiationSent(PEER, 148, 1000);
    transport.invalidateKeys();
    stage(1001);
    expect(wanted()).toEqual([`initiate ${PEER}`]);
  });

  test('need not wait when an endpoint is given to a peer that had none', () => {
    transport.initiationSent(PEER, 0, 1000);
    transport.setEndpoint(PEER, new Uint8Array(16).fill(1));
    stage(1001);
    expect(wanted()).toEqual([`initiate ${PEER}`]);
    transport.initiationSent(PEER, 148, 1002);
    transport.setEndpoint(PEER, new Uint8Array(16).fill(2));
    stage(1003);
    expect(wanted()).toEqual([]);
  });

  test('resets the count of attempts even when it is held back', () => {
    transport.initiationSent(PEER, 148, 0);
    transport.expire(5 * SECOND);
    expect(wanted()).toEqual([`retry ${PEER}`]);
    transport.initiationSent(PEER, 148, 5 * SECOND);
    expect(transport.timers.attempts(PEER)).toBe(1);
    transport.requestHandshake(PEER, 6 * SECOND);
    expect(wanted()).toEqual([]);
    expect(transport.timers.attempts(PEER)).toBe(0);
  });
});

describe('sending', () => {
  test('finds the peer, the slot and the counters', () => {
    expect(transport.routeOut(PACKET, 0, PACKET.length)).toBe(PEER);
    expect(transport.routeOut(ipv4(US, Uint8Array.of(9, 9, 9, 9), ''), 0, 20)).toBe(NO_ROUTE);
    expect(transport.routeOut(PACKET, 0, 19)).toBe(MALFORMED);
    expect(transport.usableKeypair(PEER, 0)).toBe(NONE);
    const slot = install(true, 0);
    expect(transport.usableKeypair(PEER, 1)).toBe(slot);
    expect([transport.reserve(slot, 44), transport.reserve(slot, 1)]).toEqual([0, 44]);
  });

  test('after 120 s as initiator asks for a new session, as responder does not', () => {
    install(true, 0);
    wanted();
    transport.sent(PEER, 128, true, 120 * SECOND);
    expect(wanted()).toEqual([]);
    transport.sent(PEER, 128, true, 120 * SECOND + 1);
    expect(wanted()).toEqual([`initiate ${PEER}`]);
    const slot = install(false, 0, OTHER);
    transport.opened(slot, 0, 0, 0);
    wanted();
    transport.sent(OTHER, 128, true, 179 * SECOND);
    expect(wanted()).toEqual([]);
  });

  test('asks for a new session when the counter gets high, whoever began the old one', () => {
    const slot = install(false, 0);
    transport.opened(slot, 0, 0, 0);
    transport.keypairs.sendCounterOf[slot] = 2 ** 52;
    transport.sent(PEER, 128, true, 10);
    expect(wanted()).toEqual([]);
    transport.reserve(slot, 1);
    transport.sent(PEER, 128, true, 10);
    expect(wanted()).toEqual([`initiate ${PEER}`]);
  });

  test('with a used-up key stages the packets and asks for another', () => {
    const slot = install(true, 0);
    wanted();
    transport.keypairs.sendCounterOf[slot] = SEND_LIMIT;
    expect(transport.reserve(slot, 1)).toBe(-1);
    expect(stage(10)).toBe(true);
    expect(wanted()).toEqual([`initiate ${PEER}`]);
  });

  test('a packet staged while a session is there is flushed, with no new handshake', () => {
    install(true, 0);
    wanted();
    expect(stage(20 * SECOND)).toBe(true);
    expect(wanted()).toEqual([`flush ${PEER}`]);
  });

  test('an initiator begins with what is staged, or with a keepalive', () => {
    install(true, 0);
    expect(wanted()).toEqual([`keepalive ${PEER}`]);
    stage(0, OTHER);
    wanted();
    install(true, 0, OTHER);
    expect(wanted()).toEqual([`flush ${OTHER}`]);
    const target = new Uint8Array(100);
    expect(transport.unstage(OTHER, target, 1)).toBe(PACKET.length);
    expect(target.slice(1, 1 + PACKET.length)).toEqual(PACKET);
    expect(transport.unstage(OTHER, target, 1)).toBe(-1);
  });
});

describe('receiving', () => {
  test('finds the session by its index while it is young enough', () => {
    const slot = install(true, 0);
    expect(transport.receiveKeypair(index, 179_999)).toBe(slot);
    expect(transport.receiveKeypair(index, 180_000)).toBe(NONE);
    expect(transport.receiveKeypair(index + 1, 0)).toBe(NONE);
  });

  test('confirms a responder with the first packet, and dates the handshake then', () => {
    transport.wallOffset = 1_700_000_000_000;
    const slot = install(false, 0);
    stage(10);
    wanted();
    expect(transport.peers.lastHandshake(PEER)).toBe(0);
    expect(transport.opened(slot, 0, 0, 500)).toBe(CONFIRMED);
    expect(wanted()).toEqual([`flush ${PEER}`]);
    expect(transport.peers.lastHandshake(PEER)).toBe(1_700_000_000_500);
    expect(transport.opened(slot, 0, 0, 500)).toBe(REPLAYED);
    expect(transport.opened(slot, 0, 1, 500)).toBe(ACCEPTED);
  });

  test('a replayed packet does not confirm', () => {
    const slot = install(false, 0);
    expect(transport.opened(slot, 0xffff_ffff, 0xffff_dfff, 500)).toBe(REPLAYED);
    expect(transport.usableKeypair(PEER, 500)).toBe(NONE);
  });

  test('takes a packet only from the peer that may send it', () => {
    const theirs = ipv4(THEM, US, 'abc');
    expect(transport.acceptInner(PEER, theirs, 0, theirs.length)).toBe(theirs.length);
    expect(transport.acceptInner(OTHER, theirs, 0, theirs.length)).toBe(WRONG_SOURCE);
    expect(transport.acceptInner(PEER, theirs, 0, theirs.length - 1)).toBe(MALFORMED);
  });

  test('from 165 s on asks for a new session once, and only as initiator', () => {
    install(true, 0);
    wanted();
    transport.received(PEER, 128, true, 165 * SECOND);
    expect(wanted()).toEqual([]);
    transport.received(PEER, 128, true, 165 * SECOND + 1);
    expect(wanted()).toEqual([`initiate ${PEER}`]);
    transport.received(PEER, 128, true, 172 * SECOND);
    expect(wanted()).toEqual([]);
  });

  test('a keepalive does not make us answer', () => {
    install(false, 0);
    transport.received(PEER, 32, false, 0);
    expect(transport.nextDeadline()).toBe(540 * SECOND);
    transport.received(PEER, 64, true, 0);
    expect(transport.nextDeadline()).toBe(10 * SECOND);
  });

  test('follows the peer and tells whether it moved', () => {
    const record = new Uint8Array(80);
    record.fill(7, 8, 24);
    record[8 + 28] = 16;
    record[8 + 29] = 12;
    record.fill(9, 8 + 32, 8 + 44);
    expect(transport.hasEndpoint(PEER)).toBe(false);
    expect(transport.peers.roam(PEER, record, 8)).toBe(true);
    expect(transport.peers.roam(PEER, record, 8)).toBe(false);
    expect(transport.hasEndpoint(PEER)).toBe(true);
    const at = transport.endpointOffset(PEER);
    expect(memory.slice(at, at + 64)).toEqual(record.slice(8, 72));
    transport.clearSource(PEER);
    expect(memory[at + 28]).toBe(16);
    expect(memory.slice(at + 29, at + 64).every((byte) => byte === 0)).toBe(true);
  });

  test('tells of a move once, and not of another source address of our own', () => {
    const record = new Uint8Array(64);
    record.fill(7, 0, 16);
    record[28] = 16;
    transport.roam(PEER, record, 0);
    transport.roam(PEER, record, 0);
    expect(wanted()).toEqual([`roamed ${PEER}`]);
    record.fill(9, 29, 44);
    transport.roam(PEER, record, 0);
    expect(wanted()).toEqual([]);
    record[2] = 8;
    transport.roam(PEER, record, 0);
    expect(wanted()).toEqual([`roamed ${PEER}`]);
  });
});

describe('timers', () => {
  /** A peer with a session and an endpoint with a sticky source. */
  function withSource(): number {
    const record = new Uint8Array(64).fill(1);
    transport.roam(PEER, record, 0);
    install(true, 0);
    wanted();
    return transport.endpointOffset(PEER) + 29;
  }

  test('a retry and a new handshake forget the source address', () => {
    const source = withSource();
    transport.sent(PEER, 128, true, 0);
    transport.expire(15 * SECOND);
    expect(wanted()).toEqual([`initiate ${PEER}`]);
    expect(memory[source]).toBe(0);
    memory[source] = 12;
    transport.initiationSent(PEER, 148, 15 * SECOND);
    transport.expire(20 * SECOND);
    expect(wanted()).toEqual([`retry ${PEER}`]);
    expect(memory[source]).toBe(0);
  });

  test('giving up drops what is staged', () => {
    stage(0);
    let now = 0;
    for (let i = 0; i < 20; i += 1) {
      transport.initiationSent(PEER, 148, now);
      now = transport.nextDeadline();
      transport.expire(now);
    }
    expect(transport.staged.count(PEER)).toBe(0);
    expect(transport.timers.attempts(PEER)).toBe(19);
    expect(transport.nextDeadline()).toBe(now + 540 * SECOND);
  });

  test('540 s without renewal wipe keys, packets and handshake', () => {
    install(true, 0);
    wanted();
    transport.expire(540 * SECOND);
    expect(wanted()).toEqual([`gone ${index}`, `stale ${PEER}`]);
    expect(transport.keypairs.current(PEER)).toBe(NONE);
    expect(transport.nextDeadline()).toBe(NEVER);
  });

  test('the persistent keepalive is sent at once when turned on, and each interval', () => {
    install(true, 0);
    wanted();
    transport.setKeepalive(PEER, 25, 0);
    expect(wanted()).toEqual([`keepalive ${PEER}`]);
    transport.sent(PEER, 32, false, 0);
    expect(transport.nextDeadline()).toBe(25 * SECOND);
    transport.expire(25 * SECOND);
    expect(wanted()).toEqual([`keepalive ${PEER}`]);
    transport.setKeepalive(PEER, 30, 25 * SECOND);
    expect(wanted()).toEqual([]);
  });

  test('the persistent keepalive without a session starts a handshake, also when the device comes up', () => {
    transport.setKeepalive(PEER, 25, 0);
    expect(wanted()).toEqual([`initiate ${PEER}`]);
    transport.deviceDown();
    expect(transport.nextDeadline()).toBe(NEVER);
    transport.deviceUp(10);
    expect(wanted()).toEqual([`initiate ${PEER}`]);
  });

  test('handshake messages keep a persistent keepalive going', () => {
    transport.setKeepalive(PEER, 1, 0);
    transport.handshakeReceived(PEER, 148, 0);
    expect(transport.nextDeadline()).toBe(SECOND);
    transport.responseSent(PEER, 92, 500);
    expect(transport.nextDeadline()).toBe(1500);
  });
});

describe('peers', () => {
  test('count their bytes, handshakes and all', () => {
    transport.initiationSent(PEER, 148, 0);
    transport.handshakeReceived(PEER, 92, 10);
    transport.sent(PEER, 1280, true, 20);
    transport.received(PEER, 1280, true, 30);
    expect([transport.txBytes(PEER), transport.rxBytes(PEER)]).toEqual([1428, 1372]);
    expect([transport.txBytes(OTHER), transport.rxBytes(OTHER)]).toEqual([0, 0]);
  });

  test('leave nothing behind when they go', () => {
    install(true, 0);
    stage(0);
    transport.sent(PEER, 100, true, 0);
    wanted();
    transport.removePeer(PEER);
    expect(wanted()).toEqual([`gone ${index}`]);
    expect(transport.hasPeer(PEER)).toBe(false);
    expect(transport.routeOut(PACKET, 0, PACKET.length)).toBe(NO_ROUTE);
    expect(transport.nextDeadline()).toBe(NEVER);
    transport.addPeer(PEER);
    expect(transport.txBytes(PEER)).toBe(0);
    expect(transport.staged.count(PEER)).toBe(0);
    expect(transport.hasEndpoint(PEER)).toBe(false);
  });

  test('that are gone get no session: the keys are wiped and the index goes back', () => {
    transport.removePeer(PEER);
    expect(install(true, 0)).toBe(NONE);
    expect(wanted()).toEqual([`gone ${index}`]);
    for (const peer of [PEER, 7, 4]) {
      transport.received(peer, 1, true, 0);
      transport.sent(peer, 1, true, 0);
      transport.initiationSent(peer, 148, 0);
    }
    expect(transport.nextDeadline()).toBe(NEVER);
  });

  test('are numbers below the maximum', () => {
    expect(() => transport.addPeer(8)).toThrow(RangeError);
    expect(() => transport.addPeer(-1)).toThrow(RangeError);
    expect(transport.hasPeer(8)).toBe(false);
    expect(transport.hasPeer(-1)).toBe(false);
  });

  test('of a device that goes down lose sessions, timers and packets, and keep the rest', () => {
    install(true, 0);
    transport.sent(PEER, 100, true, 0);
    transport.setEndpoint(PEER, new Uint8Array(16).fill(1));
    transport.setKeepalive(PEER, 25, 0);
    wanted();
    transport.deviceDown();
    expect(wanted()).toEqual([`gone ${index}`]);
    expect(transport.nextDeadline()).toBe(NEVER);
    expect(transport.hasEndpoint(PEER)).toBe(true);
    expect(transport.txBytes(PEER)).toBe(100);
    expect(transport.timers.keepaliveInterval(PEER)).toBe(25);
    expect(stage(1)).toBe(false);
    expect(install(true, 1)).toBe(NONE);
  });
});

describe('the queue of actions', () => {
  test('keeps the order, says each thing once, and grows', () => {
    const queue = new ActionQueue();
    queue.ensurePeers(5000);
    for (let round = 0; round < 2; round += 1) {
      for (let peer = 0; peer < 5000; peer += 1) {
        queue.push(INITIATE, peer);
        queue.push(KEEPALIVE, peer);
      }
    }
    queue.push(KEYPAIR_GONE, 0xffff_fff0);
    queue.push(KEYPAIR_GONE, 0xffff_fff0);
    expect(queue.size).toBe(10_002);
    for (let peer = 0; peer < 5000; peer += 1) {
      for (const kind of [INITIATE, KEEPALIVE]) {
        expect(queue.next()).toBe(true);
        expect([queue.kind, queue.value]).toEqual([kind, peer]);
      }
    }
    expect(queue.next()).toBe(true);
    expect([queue.kind, queue.value]).toEqual([KEYPAIR_GONE, 0xffff_fff0]);
    expect(queue.next()).toBe(true);
    expect(queue.next()).toBe(false);
    for (const kind of [INITIATE_RETRY, FLUSH_STAGED, HANDSHAKE_STALE] as const) queue.push(kind, 4999);
    expect(queue.size).toBe(3);
  });
});
