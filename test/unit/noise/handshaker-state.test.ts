/**
 * A handshaker written down in the middle of a handshake and read back: the handshake ends, old messages stay old.
 */
import { describe, expect, it } from 'vitest';
import { nativePrimitives } from '../../../src/device/native-primitives.ts';
import { Handshaker } from '../../../src/noise/handshaker.ts';
import { forgetHandshakes, readHandshaker, writeHandshaker } from '../../../src/noise/handshaker-state.ts';
import { RandomIndices } from '../../../src/noise/session-keys.ts';
import { StateReader, StateWriter } from '../../../src/noise/state-bytes.ts';

const p = nativePrimitives();
const WALL = 1_795_219_200_000;
const SOURCE = Uint8Array.of(192, 0, 2, 1, 0xca, 0x6c);

interface Side {
  readonly handshaker: Handshaker;
  readonly indices: RandomIndices;
}

function side(privateKey?: Uint8Array): Side {
  const indices = new RandomIndices(p.randomBytes);
  const handshaker = new Handshaker(p, indices);
  if (privateKey !== undefined) handshaker.setPrivateKey(privateKey);
  return { handshaker, indices };
}

function pair(): { a: Side; b: Side } {
  const [keysA, keysB] = [p.generateKeypair(), p.generateKeypair()];
  const [a, b] = [side(keysA.privateKey), side(keysB.privateKey)];
  const presharedKey = p.randomBytes(32);
  a.handshaker.addPeer(4, keysB.publicKey);
  b.handshaker.addPeer(0, keysA.publicKey);
  a.handshaker.setPresharedKey(4, presharedKey);
  b.handshaker.setPresharedKey(0, presharedKey);
  return { a, b };
}

/** The same side in another process, where the peer's number is 1. */
function carried({ handshaker }: Side): Side {
  const writer = new StateWriter();
  writeHandshaker(handshaker, [4], writer);
  const next = side();
  const reader = new StateReader(Uint8Array.from(writer.bytes));
  readHandshaker({ ...next, primitives: p, addPeer: (_, former) => (former === 4 ? 1 : undefined) }, reader);
  expect(reader.hasMore).toBe(false);
  return next;
}

function initiation({ handshaker }: Side, id: number, now: number, wall: number): Uint8Array {
  const outcome = handshaker.initiate(id, now, wall);
  if (outcome.kind !== 'initiation') throw new Error(outcome.kind);
  return outcome.message;
}

describe('a handshaker in another process', () => {
  it('finishes the handshake that the other one began', () => {
    const { a, b } = pair();
    const response = b.handshaker.consume(initiation(a, 4, 0, WALL), SOURCE, 10, false);
    if (response.kind !== 'response') throw new Error(response.kind);
    const next = carried(a);
    const established = next.handshaker.consume(response.message, SOURCE, 20, false);
    if (established.kind !== 'established') throw new Error(established.kind);
    expect(established.peer).toBe(1);
    expect(established.session.sendKey).toEqual(response.session.receiveKey);
    expect(established.session.receiveKey).toEqual(response.session.sendKey);
    expect(next.indices.size).toBe(1);
  });

  it('refuses a message that the other one took', () => {
    const { a, b } = pair();
    const message = initiation(b, 0, 0, WALL);
    expect(a.handshaker.consume(message, SOURCE, 0, false).kind).toBe('response');
    const next = carried(a);
    expect(next.handshaker.consume(message, SOURCE, 1000, false)).toEqual({
      kind: 'drop',
      reason: 'replayed-timestamp',
    });
  });

  it('keeps its distance to the last initiation, and labels the next later though the clock stands still', () => {
    const { a, b } = pair();
    const first = initiation(a, 4, 0, WALL);
    const next = carried(a);
    expect(next.handshaker.initiate(1, 4999, WALL).kind).toBe('suppressed');
    const second = initiation(next, 1, 5000, WALL);
    expect(b.handshaker.consume(first, SOURCE, 0, false).kind).toBe('response');
    expect(b.handshaker.consume(second, SOURCE, 5000, false).kind).toBe('response');
  });

  it('has the cookie its peer gave the other one', () => {
    const { a, b } = pair();
    const outcome = b.handshaker.consume(initiation(a, 4, 0, WALL), SOURCE, 0, true);
    if (outcome.kind !== 'cookie-reply') throw new Error(outcome.kind);
    // The cookie arrives only after the change of process.
    const next = carried(a);
    expect(next.handshaker.consume(outcome.message, SOURCE, 10, false)).toEqual({
      kind: 'cookie-stored',
      peer: 1,
    });
    const third = side();
    const writer = new StateWriter();
    writeHandshaker(next.handshaker, [1], writer);
    readHandshaker(
      { ...third, primitives: p, addPeer: () => 2 },
      new StateReader(Uint8Array.from(writer.bytes)),
    );
    expect(b.handshaker.consume(initiation(third, 2, 6000, WALL + 6000), SOURCE, 6000, true).kind).toBe(
      'response',
    );
  });
});

describe('handshakes that another process may have gone on with', () => {
  it('are forgotten, and the next label is later than any of the other one', () => {
    const { a, b } = pair();
    const old = b.handshaker.consume(initiation(a, 4, 0, WALL), SOURCE, 0, false);
    if (old.kind !== 'response') throw new Error(old.kind);
    const other = carried(a);
    const byOther = initiation(other, 1, 5000, WALL + 100);
    forgetHandshakes(a.handshaker, WALL + 100);
    expect(a.handshaker.consume(old.message, SOURCE, 100, false)).toEqual({
      kind: 'drop',
      reason: 'unknown-index',
    });
    expect(a.indices.size).toBe(0);
    const own = initiation(a, 4, 100, WALL + 100);
    expect(b.handshaker.consume(byOther, SOURCE, 5000, false).kind).toBe('response');
    expect(b.handshaker.consume(own, SOURCE, 5100, false).kind).toBe('response');
  });
});
