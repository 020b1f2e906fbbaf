/**
 * Each rule of the five timers, one test each, with the jitter fixed at half its range.
 * @module
 */
import { beforeEach, describe, expect, test } from 'vitest';
import {
  GAVE_UP,
  HANDSHAKE_DUE,
  KEEPALIVE_DUE,
  NOTHING_DUE,
  RETRY_DUE,
  Timers,
  ZERO_KEYS_DUE,
} from '../../../src/noise/timers.ts';

const SECOND = 1000;
const JITTER = 333 / 2;
const NEVER = Number.POSITIVE_INFINITY;
const PEER = 2;

let timers: Timers;

beforeEach(() => {
  timers = new Timers(() => 0.5);
  timers.ensurePeers(5);
});

/** Lets the next deadline come; what it was, and when. */
function next(): { at: number; event: number; peer: number } {
  const at = timers.nextDeadline();
  expect(timers.expire(at - 0.001)).toBe(NOTHING_DUE);
  const event = timers.expire(at);
  return { at, event, peer: timers.peer };
}

describe('an idle device', () => {
  test('has no deadline at all', () => {
    expect(timers.nextDeadline()).toBe(NEVER);
    expect(timers.expire(1e15)).toBe(NOTHING_DUE);
  });
});

describe('retransmit', () => {
  test('is armed by an initiation, at 5 s and jitter', () => {
    timers.initiationSent(PEER, 100);
    expect(next()).toEqual({ at: 100 + 5 * SECOND + JITTER, event: RETRY_DUE, peer: PEER });
    expect(timers.nextDeadline()).toBe(NEVER);
    expect(timers.attempts(PEER)).toBe(1);
  });

  test('jitter is from nothing to a third of a second', () => {
    for (const [chance, jitter] of [
      [0, 0],
      [0.999_999, 333],
    ] as const) {
      const others = new Timers(() => chance);
      others.ensurePeers(1);
      others.initiationSent(0, 0);
      expect(others.nextDeadline()).toBeCloseTo(5 * SECOND + jitter, 2);
    }
  });

  test('is deleted when the handshake is complete, and the count starts over', () => {
    timers.initiationSent(PEER, 0);
    next();
    timers.initiationSent(PEER, 6 * SECOND);
    timers.handshakeComplete(PEER);
    expect(timers.nextDeadline()).toBe(NEVER);
    expect(timers.attempts(PEER)).toBe(0);
  });

  test('gives up after twenty sends: keepalive deleted, keys to be wiped 540 s later', () => {
    let now = 0;
    let sends = 0;
    timers.dataReceived(PEER, 95 * SECOND);
    for (;;) {
      timers.initiationSent(PEER, now);
      sends += 1;
      const { at, event } = next();
      now = at;
      if (event === GAVE_UP) break;
      expect(event).toBe(RETRY_DUE);
    }
    expect(sends).toBe(20);
    expect(next()).toEqual({ at: now + 540 * SECOND, event: ZERO_KEYS_DUE, peer: PEER });
    expect(timers.nextDeadline()).toBe(NEVER);
  });

  test('giving up leaves the wiping of a session where it was', () => {
    timers.sessionDerived(PEER, 0);
    for (let i = 0; i < 20; i += 1) {
      timers.initiationSent(PEER, i * SECOND);
      next();
    }
    expect(next()).toEqual({ at: 540 * SECOND, event: ZERO_KEYS_DUE, peer: PEER });
  });

  test('somebody who wants a handshake starts the count over', () => {
    timers.initiationSent(PEER, 0);
    next();
    timers.restartAttempts(PEER);
    expect(timers.attempts(PEER)).toBe(0);
  });
});

describe('keepalive', () => {
  test('is armed by data received, at 10 s, from the first and not the last of a burst', () => {
    timers.dataReceived(PEER, 100);
    timers.dataReceived(PEER, 900);
    expect(next()).toEqual({ at: 100 + 10 * SECOND, event: KEEPALIVE_DUE, peer: PEER });
  });

  test('is deleted by anything authenticated that is sent', () => {
    timers.dataReceived(PEER, 0);
    timers.anySent(PEER);
    expect(timers.nextDeadline()).toBe(NEVER);
  });

  test('is not deleted by what is received', () => {
    timers.dataReceived(PEER, 0);
    timers.anyReceived(PEER);
    expect(timers.nextDeadline()).toBe(10 * SECOND);
  });

  test('is armed again when more data came while it ran, until the keepalive is really sent', () => {
    timers.dataReceived(PEER, 0);
    timers.dataReceived(PEER, 4 * SECOND);
    expect(next().event).toBe(KEEPALIVE_DUE);
    expect(timers.nextDeadline()).toBe(20 * SECOND);
    timers.anySent(PEER);
    expect(timers.nextDeadline()).toBe(NEVER);
  });

  test('is not armed again when nothing more came', () => {
    timers.dataReceived(PEER, 0);
    next();
    expect(timers.nextDeadline()).toBe(NEVER);
  });
});

describe('new handshake', () => {
  test('is armed by data sent, at 15 s and jitter, from the first packet', () => {
    timers.dataSent(PEER, 100);
    timers.dataSent(PEER, 5 * SECOND);
    expect(next()).toEqual({ at: 100 + 15 * SECOND + JITTER, event: HANDSHAKE_DUE, peer: PEER });
    expect(timers.nextDeadline()).toBe(NEVER);
  });

  test('is deleted by anything authenticated that is received, and not by what is sent', () => {
    timers.dataSent(PEER, 0);
    timers.anySent(PEER);
    expect(timers.nextDeadline()).toBe(15 * SECOND + JITTER);
    timers.anyReceived(PEER);
    expect(timers.nextDeadline()).toBe(NEVER);
  });
});

describe('zero keys', () => {
  test('comes 540 s after the last session was derived', () => {
    timers.sessionDerived(PEER, 0);
    timers.sessionDerived(PEER, 120 * SECOND);
    expect(next()).toEqual({ at: 660 * SECOND, event: ZERO_KEYS_DUE, peer: PEER });
  });

  test('is not put off by traffic', () => {
    timers.sessionDerived(PEER, 0);
    timers.anyTraversal(PEER, 100 * SECOND);
    timers.anySent(PEER);
    timers.anyReceived(PEER);
    expect(timers.nextDeadline()).toBe(540 * SECOND);
  });
});

describe('persistent keepalive', () => {
  test('comes one interval after the last authenticated packet either way', () => {
    timers.setKeepaliveInterval(PEER, 25);
    expect(timers.nextDeadline()).toBe(NEVER);
    timers.anyTraversal(PEER, 0);
    timers.anyTraversal(PEER, 7 * SECOND);
    expect(next()).toEqual({ at: 32 * SECOND, event: KEEPALIVE_DUE, peer: PEER });
    expect(timers.nextDeadline()).toBe(NEVER);
  });

  test('is off without an interval, and goes off with it', () => {
    timers.anyTraversal(PEER, 0);
    expect(timers.nextDeadline()).toBe(NEVER);
    timers.setKeepaliveInterval(PEER, 25);
    timers.anyTraversal(PEER, 0);
    timers.setKeepaliveInterval(PEER, 0);
    expect(timers.nextDeadline()).toBe(NEVER);
  });
});

describe('the timers of peers', () => {
  test('are apart from each other, and stop with the peer', () => {
    timers.dataReceived(1, 0);
    timers.dataReceived(PEER, SECOND);
    timers.dataSent(PEER, SECOND);
    timers.stop(PEER);
    expect(next().peer).toBe(1);
    expect(timers.nextDeadline()).toBe(NEVER);
  });

  test('the last-minute renewal may be claimed once a handshake', () => {
    expect(timers.claimLastMinute(PEER)).toBe(true);
    expect(timers.claimLastMinute(PEER)).toBe(false);
    expect(timers.claimLastMinute(1)).toBe(true);
    timers.handshakeComplete(PEER);
    expect(timers.claimLastMinute(PEER)).toBe(true);
  });
});
