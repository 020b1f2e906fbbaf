/**
 * mac1, mac2 and cookie replies between the side that makes cookies and the side that uses them.
 * Source: wireguard-go device/cookie_test.go (the relations; its outputs are random), WireGuard paper §5.4.4 and §5.4.7.
 * @module
 */
import { describe, expect, it } from 'vitest';
import { CookieChecker, CookieGenerator } from '../../../src/noise/cookie.ts';
import { parseHandshakeMessage, TYPE_COOKIE_REPLY } from '../../../src/noise/messages.ts';
import { implementations, seededRandom } from './fixtures.ts';

const SOURCE = Uint8Array.of(192, 168, 13, 37, 10, 10, 10);

describe.each(implementations)('cookies with %s primitives', (_, make) => {
  const world = () => {
    const random = seededRandom(11);
    const p = make(random);
    const { publicKey } = p.generateKeypair();
    const checker = new CookieChecker(p, publicKey);
    const generator = new CookieGenerator(p, publicKey);
    const reply = (message: Uint8Array, index: number, now: number) => {
      const parsed = parseHandshakeMessage(checker.createReply(message, index, SOURCE, now));
      if (parsed?.type !== TYPE_COOKIE_REPLY) throw new Error('not a cookie reply');
      return parsed;
    };
    return { random, checker, generator, reply };
  };

  it('mac1 holds for messages of any length, and mac2 for none before a cookie', () => {
    const { random, checker, generator } = world();
    for (const length of [128, 64, 32]) {
      const message = random(length);
      generator.addMacs(message, 0);
      expect(checker.checkMac1(message)).toBe(true);
      expect(checker.checkMac2(message, SOURCE, 0)).toBe(false);
      expect(message.subarray(-16)).toEqual(new Uint8Array(16));
    }
  });

  it('mac2 holds after a reply, for that source only, and a changed bit breaks both', () => {
    const { random, checker, generator, reply } = world();
    const first = random(128);
    generator.addMacs(first, 0);
    const answer = reply(first, 1377, 0);
    expect(answer.receiver).toBe(1377);
    expect(generator.consumeReply(answer, 0)).toBe(true);
    for (const length of [64, 256]) {
      const message = random(length);
      generator.addMacs(message, 1);
      expect(checker.checkMac1(message)).toBe(true);
      expect(checker.checkMac2(message, SOURCE, 1)).toBe(true);
      message[5]! ^= 0x20;
      expect(checker.checkMac1(message)).toBe(false);
      expect(checker.checkMac2(message, SOURCE, 1)).toBe(false);
      message[5]! ^= 0x20;
      expect(checker.checkMac1(message)).toBe(true);
      expect(checker.checkMac2(message, SOURCE, 1)).toBe(true);
      expect(checker.checkMac2(message, Uint8Array.of(192, 168, 13, 37, 40, 1), 1)).toBe(false);
      expect(checker.checkMac2(message, Uint8Array.of(192, 168, 13, 38, 40, 1), 1)).toBe(false);
    }
  });

  it('one reply counts for each message, and only for the last one sent', () => {
    const { random, generator, reply } = world();
    const old = random(148);
    generator.addMacs(old, 0);
    const toOld = reply(old, 1, 0);
    const message = random(148);
    generator.addMacs(message, 0);
    expect(generator.consumeReply(toOld, 0)).toBe(false);
    const toMessage = reply(message, 1, 0);
    expect(generator.consumeReply(toMessage, 0)).toBe(true);
    expect(generator.consumeReply(toMessage, 0)).toBe(false);
  });

  it('a reply out of the blue is refused', () => {
    const { random, generator, reply } = world();
    expect(generator.consumeReply(reply(random(148), 1, 0), 0)).toBe(false);
  });

  it('the user of a cookie stops five seconds before its maker does', () => {
    const { random, checker, generator, reply } = world();
    const message = random(148);
    generator.addMacs(message, 0);
    generator.consumeReply(reply(message, 1, 0), 0);
    generator.addMacs(message, 115_000);
    expect(checker.checkMac2(message, SOURCE, 120_000)).toBe(true);
    expect(checker.checkMac2(message, SOURCE, 120_001)).toBe(false);
    generator.addMacs(message, 115_001);
    expect(message.subarray(-16)).toEqual(new Uint8Array(16));
  });

  it('a cookie of the last secret is worth nothing with the next', () => {
    const { random, checker, generator, reply } = world();
    const message = random(148);
    generator.addMacs(message, 0);
    generator.consumeReply(reply(message, 1, 0), 0);
    generator.addMacs(message, 1);
    reply(random(148), 2, 120_001);
    expect(checker.checkMac2(message, SOURCE, 120_001)).toBe(false);
  });

  it('bytes that are too few to hold macs are refused', () => {
    const { checker } = world();
    for (let length = 0; length < 32; length++) {
      expect(checker.checkMac1(new Uint8Array(length))).toBe(false);
      expect(checker.checkMac2(new Uint8Array(length), SOURCE, 0)).toBe(false);
    }
  });
});
