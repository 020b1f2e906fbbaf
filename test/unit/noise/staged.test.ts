/**
 * Staged packets: order, bounds, and a twin of plain arrays.
 * @module
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Staged, type StagedLimits } from '../../../src/noise/staged.ts';

const BLOCK = 1024;
const BASE = 32;

function make(blocks: number, limits?: StagedLimits): Staged {
  const staged = new Staged(new Uint8Array(BASE + blocks * BLOCK), BASE, blocks * BLOCK, limits);
  staged.ensurePeers(4);
  return staged;
}

/** `length` bytes that tell their packet. */
const packet = (name: number, length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (name * 31 + i) & 0xff);

function take(staged: Staged, peer: number): Uint8Array | undefined {
  const target = new Uint8Array(70_000);
  const length = staged.shift(peer, target, 3);
  return length < 0 ? undefined : target.slice(3, 3 + length);
}

describe('staged packets', () => {
  test('come out in the order they went in, byte for byte, also across blocks', () => {
    const staged = make(80);
    const lengths = [0, 1, 1023, 1024, 1025, 60_000];
    for (const [i, length] of lengths.entries()) {
      const source = new Uint8Array(7 + length);
      source.set(packet(i, length), 7);
      expect(staged.push(1, source, 7, length)).toBe(true);
    }
    expect(staged.count(1)).toBe(6);
    expect(staged.bytes(1)).toBe(lengths.reduce((sum, length) => sum + length));
    for (const [i, length] of lengths.entries()) {
      expect(staged.peekLength(1)).toBe(length);
      expect(take(staged, 1)).toEqual(packet(i, length));
    }
    expect(take(staged, 1)).toBeUndefined();
    expect(staged.dropped).toBe(0);
  });

  test('of one peer are at most 128, the oldest gone', () => {
    const staged = make(512);
    for (let i = 0; i < 130; i += 1) staged.push(0, packet(i, 100), 0, 100);
    expect(staged.count(0)).toBe(128);
    expect(take(staged, 0)).toEqual(packet(2, 100));
    expect(staged.dropped).toBe(2);
  });

  test('of one peer are at most 256 KiB, the oldest gone', () => {
    const staged = make(1024);
    for (let i = 0; i < 5; i += 1) staged.push(0, packet(i, 60_000), 0, 60_000);
    expect(staged.count(0)).toBe(4);
    expect(take(staged, 0)).toEqual(packet(1, 60_000));
  });

  test('of a busy device push out the oldest of all, so that no dead peer keeps the room', () => {
    const staged = make(4);
    staged.push(0, packet(0, 900), 0, 900);
    for (let i = 1; i < 4; i += 1) staged.push(1, packet(i, 900), 0, 900);
    staged.push(2, packet(9, 1800), 0, 1800);
    expect([staged.count(0), staged.count(1), staged.count(2)]).toEqual([0, 2, 1]);
    expect(take(staged, 1)).toEqual(packet(2, 900));
    expect(take(staged, 2)).toEqual(packet(9, 1800));
  });

  test('keep their age when a younger one leaves first', () => {
    const staged = make(3);
    staged.push(0, packet(0, 10), 0, 10);
    staged.push(1, packet(1, 10), 0, 10);
    expect(take(staged, 1)).toEqual(packet(1, 10));
    for (const name of [2, 3, 4]) staged.push(2, packet(name, 10), 0, 10);
    expect(staged.count(0)).toBe(0);
    for (const name of [2, 3, 4]) expect(take(staged, 2)).toEqual(packet(name, 10));
    staged.push(3, packet(5, 3000), 0, 3000);
    expect(take(staged, 3)).toEqual(packet(5, 3000));
  });

  test('that never fit are refused and push nothing out', () => {
    const staged = make(4, { bytesPerPeer: 2000 });
    staged.push(0, packet(0, 100), 0, 100);
    expect(staged.push(0, packet(1, 2001), 0, 2001)).toBe(false);
    expect(make(1).push(0, packet(1, 1025), 0, 1025)).toBe(false);
    expect(staged.count(0)).toBe(1);
    expect(staged.dropped).toBe(1);
  });

  test('of a peer are dropped together', () => {
    const staged = make(8);
    for (let i = 0; i < 3; i += 1) staged.push(0, packet(i, 10), 0, 10);
    staged.push(1, packet(7, 10), 0, 10);
    expect(staged.clear(0)).toBe(3);
    expect(staged.count(0)).toBe(0);
    expect(staged.bytes(0)).toBe(0);
    expect(take(staged, 1)).toEqual(packet(7, 10));
  });

  test('agree with plain arrays, whatever is pushed, taken and dropped', () => {
    const blocks = 12;
    const limits = { packetsPerPeer: 5, bytesPerPeer: 6000 };
    const step = fc.tuple(
      fc.constantFrom('push', 'push', 'push', 'take', 'clear'),
      fc.nat({ max: 3 }),
      fc.integer({ min: 0, max: 4000 }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const staged = make(blocks, limits);
        let twin: { peer: number; bytes: Uint8Array }[] = [];
        const used = (): number =>
          twin.reduce((n, p) => n + Math.max(1, Math.ceil(p.bytes.length / BLOCK)), 0);
        const of = (peer: number) => twin.filter((p) => p.peer === peer);
        const drop = (victim: unknown): void => {
          twin = twin.filter((p) => p !== victim);
        };
        for (const [number, [verb, peer, length]] of steps.entries()) {
          if (verb === 'push') {
            const bytes = packet(number, length);
            staged.push(peer, bytes, 0, length);
            while (
              of(peer).length >= limits.packetsPerPeer ||
              of(peer).reduce((n, p) => n + p.bytes.length, length) > limits.bytesPerPeer
            ) {
              drop(of(peer)[0]);
            }
            while (used() + Math.max(1, Math.ceil(length / BLOCK)) > blocks) drop(twin[0]);
            twin.push({ peer, bytes });
          } else if (verb === 'take') {
            const [first] = of(peer);
            expect(take(staged, peer)).toEqual(first?.bytes);
            drop(first);
          } else {
            staged.clear(peer);
            twin = twin.filter((p) => p.peer !== peer);
          }
          for (let p = 0; p < 4; p += 1) expect(staged.count(p)).toBe(of(p).length);
        }
        for (let p = 0; p < 4; p += 1) {
          for (const { bytes } of of(p)) expect(take(staged, p)).toEqual(bytes);
        }
      }),
      { numRuns: 150 },
    );
  });
});
