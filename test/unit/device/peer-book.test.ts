import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PeerBook } from '../../../src/device/peer-book.ts';
import { cidr, formatCidr } from '../../../src/noise/ip.ts';
import { packPrefixes } from '../../../src/noise/packed-prefixes.ts';

const key = (byte: number): Uint8Array => new Uint8Array(32).fill(byte);

describe('the peer book', () => {
  it('gives a range to one peer at a time', () => {
    const book = new PeerBook(10);
    const a = book.add(key(1));
    const b = book.add(key(2));
    if (a === undefined || b === undefined) throw new Error('no room');
    book.allow(a, packPrefixes([cidr('10.0.0.0/24')]));
    book.allow(b, packPrefixes([cidr('10.0.0.0/24')]));
    expect(book.allowedIps(a).map(formatCidr)).toEqual([]);
    expect(book.allowedIps(b).map(formatCidr)).toEqual(['10.0.0.0/24']);
  });

  it('clears host bits, and tells ranges of one address and of two families apart', () => {
    const book = new PeerBook(10);
    const a = book.add(key(1));
    if (a === undefined) throw new Error('no room');
    for (const text of ['10.0.0.7/24', '10.0.0.0/16', '::/0', '0.0.0.0/0', 'fd00::1/128'])
      book.allow(a, packPrefixes([cidr(text)]));
    expect(book.allowedIps(a).map(formatCidr)).toEqual([
      '10.0.0.0/24',
      '10.0.0.0/16',
      '0.0.0.0/0',
      '::/0',
      'fd00::1/128',
    ]);
  });

  it('takes a range only from its owner', () => {
    const book = new PeerBook(10);
    const a = book.add(key(1));
    const b = book.add(key(2));
    if (a === undefined || b === undefined) throw new Error('no room');
    book.allow(a, packPrefixes([cidr('10.0.0.0/24')]));
    expect(book.disallow(b, cidr('10.0.0.0/24'))).toBe(false);
    expect(book.disallow(a, cidr('10.0.0.0/25'))).toBe(false);
    expect(book.disallow(a, cidr('10.0.0.0/24'))).toBe(true);
    expect(book.allowedIps(a)).toEqual([]);
  });

  it('has no more peers than it may, and gives numbers out again', () => {
    const book = new PeerBook(2);
    const a = book.add(key(1));
    book.add(key(2));
    expect(book.add(key(3))).toBeUndefined();
    if (a === undefined) throw new Error('no room');
    book.remove(a);
    expect(book.byKey(key(1))).toBeUndefined();
    expect(book.add(key(3))?.id).toBe(a.id);
  });

  it('agrees with a plain map of range to owner after any changes', () => {
    const step = fc.record({
      peer: fc.integer({ min: 0, max: 2 }),
      range: fc.constantFrom('10.0.0.0/8', '10.1.0.0/16', '10.1.2.0/24', 'fd00::/8', 'fd00::/16'),
      what: fc.constantFrom('allow', 'disallow', 'clear'),
    });
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const book = new PeerBook(3);
        const peers = [1, 2, 3].map((byte) => book.add(key(byte)));
        const model = new Map<string, number>();
        for (const { peer: index, range, what } of steps) {
          const peer = peers[index];
          if (peer === undefined) throw new Error('no room');
          if (what === 'allow') {
            book.allow(peer, packPrefixes([cidr(range)]));
            model.set(range, index);
          } else if (what === 'disallow') {
            book.disallow(peer, cidr(range));
            if (model.get(range) === index) model.delete(range);
          } else {
            book.disallowAll(peer);
            for (const [text, owner] of [...model]) if (owner === index) model.delete(text);
          }
        }
        peers.forEach((peer, index) => {
          const expected = [...model].filter(([, owner]) => owner === index).map(([text]) => text);
          expect((peer === undefined ? [] : book.allowedIps(peer)).map(formatCidr).sort()).toEqual(
            expected.sort(),
          );
        });
      }),
    );
  });
});
