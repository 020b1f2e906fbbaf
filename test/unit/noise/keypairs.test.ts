/**
 * The three slots of a peer: who moves where, what may send, what is wiped.
 * @module
 */
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { ActionQueue, KEYPAIR_GONE } from '../../../src/noise/action-queue.ts';
import { KEYPAIR_SIZE, Keypairs, NONE, SEND_LIMIT } from '../../../src/noise/keypairs.ts';
import type { SessionKeys } from '../../../src/noise/session-keys.ts';

const BASE = 64;
const SLOTS = 6;
const PEER = 1;
const MINUTE = 60_000;

let memory: Uint8Array;
let actions: ActionQueue;
let keypairs: Keypairs;
let index = 0;

beforeEach(() => {
  memory = new Uint8Array(BASE + SLOTS * KEYPAIR_SIZE);
  actions = new ActionQueue();
  keypairs = new Keypairs(memory, BASE, SLOTS, actions);
  keypairs.ensurePeers(3);
  actions.ensurePeers(3);
  index = 100;
});

function session(isInitiator: boolean, peer = PEER, createdAt = 0): SessionKeys {
  index += 1;
  return {
    peer,
    localIndex: index,
    remoteIndex: index + 0x8000_0000,
    sendKey: new Uint8Array(32).fill(index),
    receiveKey: new Uint8Array(32).fill(index + 100),
    isInitiator,
    createdAt,
  };
}

const asInitiator = (peer = PEER): number => keypairs.install(session(true, peer));
const asResponder = (peer = PEER): number => keypairs.install(session(false, peer));
const slots = (peer = PEER): number[] => [
  keypairs.previous(peer),
  keypairs.current(peer),
  keypairs.next(peer),
];

/** Local indices that were given back. */
function gone(): number[] {
  const list: number[] = [];
  while (actions.next()) {
    expect(actions.kind).toBe(KEYPAIR_GONE);
    list.push(actions.value);
  }
  return list;
}

describe('an initiator', () => {
  test('sends with the new keypair at once and keeps the one before', () => {
    const first = asInitiator();
    expect(slots()).toEqual([NONE, first, NONE]);
    const second = asInitiator();
    expect(slots()).toEqual([first, second, NONE]);
    const third = asInitiator();
    expect(slots()).toEqual([second, third, NONE]);
    expect(gone()).toEqual([101]);
  });

  test('takes an unconfirmed next for its previous, and lets the current go', () => {
    asInitiator();
    const next = asResponder();
    const mine = asInitiator();
    expect(slots()).toEqual([next, mine, NONE]);
    expect(gone()).toEqual([101]);
  });
});

describe('a responder', () => {
  test('may not send before the initiator did', () => {
    const next = asResponder();
    expect(slots()).toEqual([NONE, NONE, next]);
    expect(keypairs.usable(PEER, 0)).toBe(NONE);
    expect(keypairs.find(101, 0)).toBe(next);
    expect(keypairs.promote(next)).toBe(true);
    expect(slots()).toEqual([NONE, next, NONE]);
    expect(keypairs.usable(PEER, 0)).toBe(next);
    expect(keypairs.promote(next)).toBe(false);
  });

  test('goes on sending with the current one until then, and receiving with it after', () => {
    const first = asInitiator();
    const second = asInitiator();
    const next = asResponder();
    expect(slots()).toEqual([NONE, second, next]);
    expect(keypairs.find(101, 0)).toBe(NONE);
    expect(keypairs.promote(second)).toBe(false);
    expect(keypairs.promote(next)).toBe(true);
    expect(slots()).toEqual([second, next, NONE]);
    expect(gone()).toEqual([101]);
    expect(first).not.toBe(second);
  });

  test('a second next replaces the first', () => {
    asResponder();
    const next = asResponder();
    expect(slots()).toEqual([NONE, NONE, next]);
    expect(gone()).toEqual([101]);
  });
});

describe('a keypair', () => {
  test('lies in memory as laid out, and the caller has no copy left', () => {
    const keys = session(true);
    const slot = keypairs.install(keys);
    expect(memory.slice(keypairs.sendKey(slot), keypairs.sendKey(slot) + 32)).toEqual(
      new Uint8Array(32).fill(101),
    );
    expect(memory.slice(keypairs.receiveKey(slot), keypairs.receiveKey(slot) + 32)).toEqual(
      new Uint8Array(32).fill(201),
    );
    expect(keypairs.sendKey(slot) % 16).toBe(0);
    expect(keys.sendKey).toEqual(new Uint8Array(32));
    expect(keys.receiveKey).toEqual(new Uint8Array(32));
    expect(keypairs.remoteIndexOf[slot]).toBe(0x8000_0000 + 101);
  });

  test('leaves nothing behind when it goes, neither keys nor window nor index', () => {
    const slot = asInitiator();
    keypairs.accept(slot, 0, 4000);
    asResponder();
    keypairs.clear(PEER);
    expect(memory.every((byte) => byte === 0)).toBe(true);
    expect(keypairs.indices.size).toBe(0);
    expect(keypairs.free).toBe(SLOTS);
    expect(gone()).toEqual([101, 102]);
    expect(slots()).toEqual([NONE, NONE, NONE]);
  });

  test('neither sends nor receives from 180 s on', () => {
    const slot = asInitiator();
    expect(keypairs.usable(PEER, 3 * MINUTE - 1)).toBe(slot);
    expect(keypairs.find(101, 3 * MINUTE - 1)).toBe(slot);
    expect(keypairs.usable(PEER, 3 * MINUTE)).toBe(NONE);
    expect(keypairs.find(101, 3 * MINUTE)).toBe(NONE);
  });

  test('gives each counter once and stops for good at the limit', () => {
    const slot = asInitiator();
    expect(keypairs.reserve(slot, 44)).toBe(0);
    expect(keypairs.reserve(slot, 1)).toBe(44);
    keypairs.sendCounterOf[slot] = SEND_LIMIT - 2;
    expect(keypairs.reserve(slot, 3)).toBe(-1);
    expect(keypairs.usable(PEER, 0)).toBe(NONE);
    expect(keypairs.reserve(slot, 1)).toBe(-1);
  });

  test('uses its last counter', () => {
    const slot = asInitiator();
    keypairs.sendCounterOf[slot] = SEND_LIMIT - 1;
    expect(keypairs.reserve(slot, 1)).toBe(SEND_LIMIT - 1);
    expect(keypairs.usable(PEER, 0)).toBe(NONE);
  });

  test('starts with a window of its own, although the slot was used before', () => {
    const first = asInitiator();
    expect(keypairs.accept(first, 0, 5)).toBe(true);
    keypairs.clear(PEER);
    const second = asInitiator();
    expect(second).toBe(first);
    expect(keypairs.accept(second, 0, 5)).toBe(true);
    expect(keypairs.accept(second, 0, 5)).toBe(false);
  });

  test('of a changed identity still receives and never sends', () => {
    const current = asInitiator();
    const next = asResponder();
    keypairs.expireSending(PEER);
    expect(keypairs.usable(PEER, 0)).toBe(NONE);
    expect(keypairs.find(101, 0)).toBe(current);
    keypairs.promote(next);
    expect(keypairs.usable(PEER, 0)).toBe(NONE);
  });
});

describe('the pool', () => {
  test('never holds more than two keypairs of a peer, whatever happens', () => {
    const step = fc.tuple(fc.constantFrom('initiator', 'responder', 'promote'), fc.nat({ max: 2 }));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const pool = new Keypairs(new Uint8Array(SLOTS * KEYPAIR_SIZE), 0, SLOTS, new ActionQueue());
        pool.ensurePeers(3);
        for (const [verb, peer] of steps) {
          if (verb !== 'promote') expect(pool.install(session(verb === 'initiator', peer))).not.toBe(NONE);
          else if (pool.next(peer) !== NONE) pool.promote(pool.next(peer));
          let held = 0;
          for (let p = 0; p < 3; p += 1) {
            const mine = slotsOf(pool, p).filter((slot) => slot !== NONE);
            expect(new Set(mine).size).toBe(mine.length);
            expect(mine.length).toBeLessThanOrEqual(2);
            for (const slot of mine) expect(pool.peerOf[slot]).toBe(p);
            held += mine.length;
          }
          expect(pool.free).toBe(SLOTS - held);
          expect(pool.indices.size).toBe(held);
        }
      }),
    );
  });

  test('that is used up refuses, wipes and gives the index back', () => {
    const pool = new Keypairs(memory, BASE, 1, actions);
    pool.ensurePeers(2);
    pool.install(session(true, 0));
    const keys = session(true, 1);
    expect(pool.install(keys)).toBe(NONE);
    expect(pool.current(1)).toBe(NONE);
    expect(keys.sendKey).toEqual(new Uint8Array(32));
    expect(gone()).toEqual([keys.localIndex]);
  });

  test('must lie where it fits, on a multiple of 16', () => {
    expect(() => new Keypairs(memory, 8, 1, actions)).toThrow(RangeError);
    expect(() => new Keypairs(memory, BASE, SLOTS + 1, actions)).toThrow(RangeError);
  });
});

function slotsOf(pool: Keypairs, peer: number): number[] {
  return [pool.previous(peer), pool.current(peer), pool.next(peer)];
}
