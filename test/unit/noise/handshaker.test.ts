/**
 * Handshakers talking to each other, to liars and to themselves: what is answered, what is dropped, what is left behind.
 * Source: WireGuard paper §5.1, §5.3, §5.4, §6.1; kernel selftest netns.sh; boringtun fork tests for the odd cases.
 * @module
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nativePrimitives } from '../../../src/device/native-primitives.ts';
import {
  COOKIE_SECRET_LIFETIME,
  INITIATION_FLOOD_INTERVAL,
  REKEY_TIMEOUT,
} from '../../../src/noise/constants.ts';
import { CookieGenerator } from '../../../src/noise/cookie.ts';
import type { ConsumeOutcome } from '../../../src/noise/handshake-outcome.ts';
import { Handshaker } from '../../../src/noise/handshaker.ts';
import { clampPrivateKey } from '../../../src/noise/primitives.ts';
import { RandomIndices } from '../../../src/noise/session-keys.ts';
import { base64, hex, LOW_ORDER_KEYS, seededRandom } from './fixtures.ts';

const SOURCE = Uint8Array.of(192, 0, 2, 1, 0xca, 0x6c);
const WALL = 1_790_000_000_000;

function party(seed: number) {
  const p = nativePrimitives(seededRandom(seed));
  const indices = new RandomIndices(p.randomBytes);
  const handshaker = new Handshaker(p, indices);
  const { privateKey, publicKey } = p.generateKeypair();
  handshaker.setPrivateKey(privateKey);
  return { p, indices, handshaker, privateKey, publicKey };
}

/** Alice knows Bob as peer 1, Bob knows Alice as peer 2. */
function couple() {
  const alice = party(1);
  const bob = party(2);
  alice.handshaker.addPeer(1, bob.publicKey);
  bob.handshaker.addPeer(2, alice.publicKey);
  return { alice, bob };
}

type Party = ReturnType<typeof party>;

function initiation(from: Party, peer: number, now: number, wall = WALL + now): Uint8Array {
  const outcome = from.handshaker.initiate(peer, now, wall);
  if (outcome.kind !== 'initiation') throw new Error(JSON.stringify(outcome));
  return outcome.message;
}

function consume(to: Party, message: Uint8Array, now: number, underLoad = false): ConsumeOutcome {
  return to.handshaker.consume(message, SOURCE, now, underLoad);
}

function expectKind<K extends ConsumeOutcome['kind']>(outcome: ConsumeOutcome, kind: K) {
  expect(outcome.kind === 'drop' ? outcome : outcome.kind).toBe(kind);
  return outcome as Extract<ConsumeOutcome, { kind: K }>;
}

const expectDrop = (outcome: ConsumeOutcome, reason: string) =>
  expect(outcome).toEqual({ kind: 'drop', reason });

describe('a handshake', () => {
  it('ends with the same two keys on both sides, crossed', () => {
    const { alice, bob } = couple();
    const response = expectKind(consume(bob, initiation(alice, 1, 0), 10), 'response');
    expect(response.peer).toBe(2);
    const established = expectKind(consume(alice, response.message, 20), 'established');
    expect(established.peer).toBe(1);
    const [a, b] = [established.session, response.session];
    expect(a.sendKey).toEqual(b.receiveKey);
    expect(a.receiveKey).toEqual(b.sendKey);
    expect(a.sendKey).not.toEqual(a.receiveKey);
    expect(a).toMatchObject({ peer: 1, isInitiator: true, createdAt: 20, remoteIndex: b.localIndex });
    expect(b).toMatchObject({ peer: 2, isInitiator: false, createdAt: 10, remoteIndex: a.localIndex });
    // Each session owns one index; no handshake holds another.
    expect([alice.indices.size, bob.indices.size]).toEqual([1, 1]);
  });

  it('needs the same preshared key on both sides, and takes a new one from the next handshake on', () => {
    const { alice, bob } = couple();
    alice.handshaker.setPresharedKey(1, new Uint8Array(32).fill(9));
    const response = expectKind(consume(bob, initiation(alice, 1, 0), 0), 'response');
    expectDrop(consume(alice, response.message, 1), 'bad-tag');
    bob.handshaker.setPresharedKey(2, new Uint8Array(32).fill(9));
    const second = expectKind(consume(bob, initiation(alice, 1, 6_000), 6_000), 'response');
    expectKind(consume(alice, second.message, 6_001), 'established');
  });

  it('is had at once when both sides initiate in the same moment', () => {
    const { alice, bob } = couple();
    const fromAlice = initiation(alice, 1, 0);
    const fromBob = initiation(bob, 2, 0);
    const bobsAnswer = expectKind(consume(bob, fromAlice, 30), 'response');
    const alicesAnswer = expectKind(consume(alice, fromBob, 30), 'response');
    const a = expectKind(consume(alice, bobsAnswer.message, 60), 'established');
    const b = expectKind(consume(bob, alicesAnswer.message, 60), 'established');
    expect(a.session.sendKey).toEqual(bobsAnswer.session.receiveKey);
    expect(b.session.sendKey).toEqual(alicesAnswer.session.receiveKey);
  });

  it("that was crossed by the peer's own is not completed by a response kept back", () => {
    const { alice, bob } = couple();
    const fromAlice = initiation(alice, 1, 0);
    const fromBob = initiation(bob, 2, 0);
    const keptBack = expectKind(consume(bob, fromAlice, 30), 'response');
    const served = expectKind(consume(alice, fromBob, 30), 'response');
    expectKind(consume(bob, served.message, 60), 'established');
    expectDrop(consume(alice, keptBack.message, REKEY_TIMEOUT + 1), 'unknown-index');
    // The session with Bob keeps its index; the crossed handshake has given its own back.
    expect(alice.indices.size).toBe(1);
  });

  it('may be answered late when nothing crossed it', () => {
    const { alice, bob } = couple();
    const response = expectKind(consume(bob, initiation(alice, 1, 0), 0), 'response');
    expectKind(consume(alice, response.message, 60_000), 'established');
  });

  it('draws a new index for each attempt and gives the old one back', () => {
    const { alice } = couple();
    const seen = new Set<number>();
    for (let attempt = 0; attempt < 20; attempt++) {
      const outcome = alice.handshaker.initiate(1, attempt * REKEY_TIMEOUT, WALL + attempt * REKEY_TIMEOUT);
      if (outcome.kind === 'initiation') seen.add(outcome.localIndex);
      expect(alice.indices.size).toBe(1);
    }
    expect(seen.size).toBe(20);
    alice.handshaker.clearHandshake(1);
    expect(alice.indices.size).toBe(0);
  });
});

describe('a message that is not accepted', () => {
  // mac2 is not looked at while there is no load, so a changed mac2 is not a false message.
  const withoutMac2 = (message: Uint8Array) => fc.integer({ min: 0, max: message.length - 17 });

  it('changes nothing: any changed byte of an initiation, and the true one is still taken', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 131 }), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const { alice, bob } = couple();
        const message = initiation(alice, 1, 0);
        const changed = Uint8Array.from(message);
        changed[at]! ^= flip;
        expect(consume(bob, changed, 0).kind).toBe('drop');
        expect(bob.indices.size).toBe(0);
        const response = expectKind(consume(bob, message, 0), 'response');
        expectKind(consume(alice, response.message, 0), 'established');
      }),
      { numRuns: 150 },
    );
  });

  it('changes nothing: an initiation changed by one who knows the public key, and so has mac1 right', () => {
    const { alice, bob } = couple();
    const message = initiation(alice, 1, 0);
    const macs = new CookieGenerator(alice.p, bob.publicKey);
    for (let at = 8; at < 116; at++) {
      const changed = Uint8Array.from(message);
      changed[at]! ^= 1 << (at % 8);
      macs.addMacs(changed, 0);
      expect(consume(bob, changed, 0).kind, `byte ${at}`).toBe('drop');
    }
    expectKind(consume(bob, message, 0), 'response');
  });

  it('changes nothing: any changed byte of a response, and the true one is still taken', () => {
    const { alice, bob } = couple();
    const response = expectKind(consume(bob, initiation(alice, 1, 0), 0), 'response').message;
    const macs = new CookieGenerator(bob.p, alice.publicKey);
    fc.assert(
      fc.property(withoutMac2(response), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const changed = Uint8Array.from(response);
        changed[at]! ^= flip;
        expect(consume(alice, changed, 1).kind).toBe('drop');
        // Again with mac1 right: only the sender index is not covered by the tag.
        if (at < 8 || at >= 60) return;
        macs.addMacs(changed, 0);
        expect(consume(alice, changed, 1).kind).toBe('drop');
      }),
    );
    expectKind(consume(alice, response, 1), 'established');
  });

  it('is dropped without an exception, whatever its bytes are', () => {
    const { alice, bob } = couple();
    initiation(alice, 1, 0);
    const typed = fc
      .tuple(
        fc.constantFrom([1, 148], [2, 92], [3, 64], [4, 64]),
        fc.uint8Array({ minLength: 160, maxLength: 160 }),
      )
      .map(([[type, size], bytes]) => Uint8Array.of(type!, 0, 0, 0, ...bytes.subarray(0, size! - 4)));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 2000 }), typed), fc.boolean(), (bytes, load) => {
        expect(consume(alice, bytes, 0, load).kind).toBe('drop');
        expect(consume(bob, bytes, 0, load).kind).toBe('drop');
      }),
      { numRuns: 500 },
    );
    expect([alice.indices.size, bob.indices.size]).toEqual([1, 0]);
  });

  it('has a name: wrong length, reserved bytes, unknown sender', () => {
    const { alice, bob } = couple();
    const message = initiation(alice, 1, 0);
    expectDrop(consume(bob, message.subarray(0, 147), 0), 'malformed');
    expectDrop(consume(bob, Uint8Array.of(...message, 0), 0), 'malformed');
    const reserved = Uint8Array.from(message);
    reserved[3] = 1;
    expectDrop(consume(bob, reserved, 0), 'malformed');
    bob.handshaker.removePeer(2);
    expectDrop(consume(bob, message, 0), 'unknown-peer');
    const stranger = party(3);
    expectDrop(consume(stranger, message, 0), 'bad-mac1');
  });
});

describe('an initiation', () => {
  it('is taken once: a replay is dropped, and one that is older than the last too', () => {
    const { alice, bob } = couple();
    const first = initiation(alice, 1, 0);
    const second = initiation(alice, 1, 5_000);
    expectKind(consume(bob, second, 5_000), 'response');
    expectDrop(consume(bob, second, 6_000), 'replayed-timestamp');
    expectDrop(consume(bob, first, 7_000), 'replayed-timestamp');
  });

  it('is dropped when the last from this peer is not twenty milliseconds old', () => {
    const { alice, bob } = couple();
    expectKind(consume(bob, initiation(alice, 1, 0), 100), 'response');
    const next = initiation(alice, 1, 5_000);
    expectDrop(consume(bob, next, 100 + INITIATION_FLOOD_INTERVAL), 'flood');
    expectKind(consume(bob, next, 101 + INITIATION_FLOOD_INTERVAL), 'response');
  });

  it('is not sent within five seconds of the last one, nor of a response', () => {
    const { alice, bob } = couple();
    const message = initiation(alice, 1, 0);
    expect(alice.handshaker.initiate(1, 4_999, WALL)).toEqual({ kind: 'suppressed' });
    expectKind(consume(bob, message, 0), 'response');
    expect(bob.handshaker.initiate(2, 4_999, WALL)).toEqual({ kind: 'suppressed' });
    expect(bob.handshaker.initiate(2, 5_000, WALL).kind).toBe('initiation');
    alice.handshaker.resetSpacing(1);
    expect(alice.handshaker.initiate(1, 1, WALL).kind).toBe('initiation');
  });

  it('carries a rising label even while the wall clock falls', () => {
    const { alice, bob } = couple();
    expectKind(consume(bob, initiation(alice, 1, 0, WALL), 0), 'response');
    expectKind(consume(bob, initiation(alice, 1, 5_000, WALL - 3_600_000), 5_000), 'response');
    expectKind(consume(bob, initiation(alice, 1, 10_000, WALL - 7_200_000), 10_000), 'response');
  });

  it('carries a rising label also to a peer that was removed and came back, in one instant or a day earlier', () => {
    const { alice, bob } = couple();
    const day = 86_400_000;
    for (const [now, wall] of [
      [0, WALL],
      [30, WALL],
      [60, WALL + day],
      [90, WALL + 1000],
    ] as const) {
      expectKind(consume(bob, initiation(alice, 1, now, wall), now), 'response');
      alice.handshaker.removePeer(1);
      alice.handshaker.addPeer(1, bob.publicKey);
    }
  });

  it('that was superseded is not completed by its late response', () => {
    const { alice, bob } = couple();
    const late = expectKind(consume(bob, initiation(alice, 1, 0), 0), 'response');
    initiation(alice, 1, 5_000);
    expectDrop(consume(alice, late.message, 5_001), 'unknown-index');
  });

  it('is completed by one response only', () => {
    const { alice, bob } = couple();
    const { message } = expectKind(consume(bob, initiation(alice, 1, 0), 0), 'response');
    expectKind(consume(alice, message, 1), 'established');
    expectDrop(consume(alice, message, 2), 'unknown-index');
  });

  it.each(LOW_ORDER_KEYS)('is never made for the low-order key %s', (key) => {
    const { handshaker, indices } = party(1);
    handshaker.addPeer(1, base64(key));
    expect(handshaker.initiate(1, 0, WALL)).toEqual({ kind: 'refused', reason: 'zero-secret' });
    expect(indices.size).toBe(0);
  });

  it.each(LOW_ORDER_KEYS)('with the low-order ephemeral %s is dropped', (key) => {
    const { alice, bob } = couple();
    const message = initiation(alice, 1, 0);
    message.set(base64(key), 8);
    new CookieGenerator(alice.p, bob.publicKey).addMacs(message, 0);
    expectDrop(consume(bob, message, 0), 'zero-secret');
    const response = expectKind(consume(bob, initiation(alice, 1, 5_000), 5_000), 'response').message;
    const false_ = Uint8Array.from(response);
    false_.set(base64(key), 12);
    new CookieGenerator(bob.p, alice.publicKey).addMacs(false_, 0);
    expectDrop(consume(alice, false_, 5_001), 'zero-secret');
    expectKind(consume(alice, response, 5_002), 'established');
  });
});

describe('under load', () => {
  it('a handshake without a cookie gets one, and the next with it goes through', () => {
    const { alice, bob } = couple();
    const asked = expectKind(consume(bob, initiation(alice, 1, 0), 0, true), 'cookie-reply');
    expect(asked.message.length).toBe(64);
    expect(consume(alice, asked.message, 1)).toEqual({ kind: 'cookie-stored', peer: 1 });
    const again = initiation(alice, 1, 5_000);
    const response = expectKind(consume(bob, again, 5_000, true), 'response');
    expectKind(consume(alice, response.message, 5_001), 'established');
  });

  it('a response is asked for a cookie too, and the responder takes it', () => {
    const { alice, bob } = couple();
    const response = expectKind(consume(bob, initiation(alice, 1, 0), 0), 'response');
    const asked = expectKind(consume(alice, response.message, 1, true), 'cookie-reply');
    expect(consume(bob, asked.message, 2)).toEqual({ kind: 'cookie-stored', peer: 2 });
  });

  it('a cookie is tied to address and port, and ends with its secret', () => {
    const { alice, bob } = couple();
    const asked = expectKind(consume(bob, initiation(alice, 1, 0), 0, true), 'cookie-reply');
    consume(alice, asked.message, 1);
    const message = initiation(alice, 1, 5_000);
    const otherPort = Uint8Array.of(192, 0, 2, 1, 0xca, 0x6d);
    expect(bob.handshaker.consume(message, otherPort, 5_000, true).kind).toBe('cookie-reply');
    expect(consume(bob, message, COOKIE_SECRET_LIFETIME + 1, true).kind).toBe('cookie-reply');
  });

  it('a message with a wrong mac1 gets no cookie: we are no amplifier', () => {
    const { alice, bob } = couple();
    const message = initiation(alice, 1, 0);
    message[116]! ^= 1;
    expectDrop(consume(bob, message, 0, true), 'bad-mac1');
  });

  it('a source with a good cookie has five handshakes, and then one every 50 ms', () => {
    const { alice, bob } = couple();
    const asked = expectKind(consume(bob, initiation(alice, 1, 0), 0, true), 'cookie-reply');
    consume(alice, asked.message, 1);
    const message = initiation(alice, 1, 5_000);
    const outcomes = Array.from({ length: 6 }, () => consume(bob, message, 5_000, true));
    const reasons = outcomes.map((outcome) => (outcome.kind === 'drop' ? outcome.reason : outcome.kind));
    const replay = 'replayed-timestamp';
    expect(reasons).toEqual(['response', replay, replay, replay, replay, 'rate-limited']);
    expectDrop(consume(bob, message, 5_051, true), replay);
  });

  it('all ports of one address share its limit', () => {
    const { alice, bob } = couple();
    let answered = 0;
    for (let port = 1; port <= 6; port++) {
      const source = Uint8Array.of(192, 0, 2, 1, 0, port);
      const now = port * 2 * REKEY_TIMEOUT;
      const asked = bob.handshaker.consume(initiation(alice, 1, now), source, 0, true);
      consume(alice, expectKind(asked, 'cookie-reply').message, now);
      alice.handshaker.resetSpacing(1);
      const outcome = bob.handshaker.consume(initiation(alice, 1, now + 1), source, 0, true);
      if (outcome.kind !== 'drop' || outcome.reason !== 'rate-limited') answered++;
    }
    expect(answered).toBe(5);
  });

  it('a cookie reply out of the blue, twice, or changed is dropped', () => {
    const { alice, bob } = couple();
    const message = initiation(alice, 1, 0);
    const { message: reply } = expectKind(consume(bob, message, 0, true), 'cookie-reply');
    for (const at of [8, 32, 63]) {
      const changed = Uint8Array.from(reply);
      changed[at]! ^= 1;
      expectDrop(consume(alice, changed, 1), 'bad-cookie');
    }
    expect(consume(alice, reply, 1).kind).toBe('cookie-stored');
    expectDrop(consume(alice, reply, 1), 'bad-cookie');
    expectDrop(consume(bob, reply, 1), 'unknown-index');
  });
});

describe('the private key', () => {
  it('is clamped, and setting it again changes nothing', () => {
    const { alice } = couple();
    const key = new Uint8Array(32).fill(0xff);
    expect(alice.handshaker.setPrivateKey(key)).toEqual({ changed: true, removedPeer: null });
    expect(alice.handshaker.privateKey).toEqual(clampPrivateKey(key));
    expect(hex(alice.handshaker.privateKey!).startsWith('f8')).toBe(true);
    initiation(alice, 1, 0);
    expect(alice.handshaker.setPrivateKey(key)).toEqual({ changed: false, removedPeer: null });
    expect(alice.indices.size).toBe(1);
  });

  it('of zeros is no key: nothing is sent and nothing answered', () => {
    const { alice, bob } = couple();
    const message = initiation(alice, 1, 0);
    bob.handshaker.setPrivateKey(new Uint8Array(32));
    expect([bob.handshaker.privateKey, bob.handshaker.publicKey]).toEqual([null, null]);
    expectDrop(consume(bob, message, 0), 'no-private-key');
    expect(bob.handshaker.initiate(2, 0, WALL)).toEqual({ kind: 'refused', reason: 'no-private-key' });
  });

  it('when changed ends the handshake that was under way and lets the next go at once', () => {
    const { alice, bob } = couple();
    const { message } = expectKind(consume(bob, initiation(alice, 1, 0), 0), 'response');
    const { privateKey, publicKey } = alice.p.generateKeypair();
    alice.handshaker.setPrivateKey(privateKey);
    expect(alice.indices.size).toBe(0);
    expect(consume(alice, message, 1).kind).toBe('drop');
    bob.handshaker.addPeer(3, publicKey);
    const response = expectKind(consume(bob, initiation(alice, 1, 2), 2), 'response');
    expect(response.peer).toBe(3);
    expectKind(consume(alice, response.message, 3), 'established');
  });

  it('removes the peer that turns out to be ourselves, and such a peer is not added', () => {
    const { alice, bob } = couple();
    expect(alice.handshaker.addPeer(7, alice.publicKey)).toBe('own-key');
    expect(alice.handshaker.setPrivateKey(bob.privateKey)).toEqual({ changed: true, removedPeer: 1 });
    expect(alice.handshaker.findPeer(bob.publicKey)).toBeNull();
    expect(alice.handshaker.peerCount).toBe(0);
  });
});

describe('a peer', () => {
  it('is found by its key and added once', () => {
    const { alice, bob } = couple();
    expect(alice.handshaker.findPeer(bob.publicKey)).toBe(1);
    expect(alice.handshaker.addPeer(9, bob.publicKey)).toBe('exists');
    expect(alice.handshaker.addPeer(1, new Uint8Array(32).fill(9))).toBe('exists');
    expect(alice.handshaker.initiate(9, 0, WALL)).toEqual({ kind: 'refused', reason: 'unknown-peer' });
  });

  it('leaves nothing behind when it is removed', () => {
    const { alice, bob } = couple();
    const message = initiation(alice, 1, 0);
    expect(alice.handshaker.removePeer(1)).toBe(true);
    expect(alice.handshaker.removePeer(1)).toBe(false);
    expect(alice.indices.size).toBe(0);
    const { message: response } = expectKind(consume(bob, message, 0), 'response');
    expectDrop(consume(alice, response, 1), 'unknown-index');
  });
});
