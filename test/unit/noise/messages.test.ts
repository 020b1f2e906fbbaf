/**
 * Sizes and offsets of the messages, parsing of any bytes, and the table of indices.
 * Source: WireGuard paper §5.4; the sizes are those every implementation has.
 * @module
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  COOKIE_REPLY_SIZE,
  INITIATION_MAC1,
  INITIATION_SIZE,
  parseHandshakeMessage,
  RESPONSE_MAC1,
  RESPONSE_SIZE,
  TRANSPORT_MIN_SIZE,
} from '../../../src/noise/messages.ts';
import { RandomIndices } from '../../../src/noise/session-keys.ts';
import { scriptedRandom, seededRandom } from './fixtures.ts';

describe('a handshake message', () => {
  it('has the size and the macs where everybody has them', () => {
    expect([INITIATION_SIZE, RESPONSE_SIZE, COOKIE_REPLY_SIZE, TRANSPORT_MIN_SIZE]).toEqual([
      148, 92, 64, 32,
    ]);
    expect([INITIATION_MAC1, RESPONSE_MAC1]).toEqual([116, 60]);
  });

  it('is parsed into views of the datagram, not copies', () => {
    const datagram = Uint8Array.from({ length: 148 }, (_, i) => (i < 4 ? Number(i === 0) : i));
    const parsed = parseHandshakeMessage(datagram);
    if (parsed?.type !== 1) throw new Error('not an initiation');
    expect(parsed.sender).toBe(0x07060504);
    expect(parsed.ephemeral.buffer).toBe(datagram.buffer);
    const fields = [parsed.ephemeral, parsed.encryptedStatic, parsed.encryptedTimestamp];
    expect(fields.map((field) => [field.byteOffset, field.length])).toEqual([
      [8, 32],
      [40, 48],
      [88, 28],
    ]);
  });

  it('is parsed from the middle of a larger buffer', () => {
    const memory = new Uint8Array(300);
    memory[100] = 2;
    memory.set([1, 2, 3, 0x84, 5, 6, 7, 0x88], 104);
    const parsed = parseHandshakeMessage(memory.subarray(100, 192));
    expect(parsed).toMatchObject({ type: 2, sender: 0x84030201, receiver: 0x88070605 });
  });

  it('has its type, three zeros and its exact length, or it is none', () => {
    const sizes = new Map([
      [1, 148],
      [2, 92],
      [3, 64],
    ]);
    for (let type = 0; type < 256; type++) {
      for (const size of [0, 3, 4, 7, 8, 31, 32, 63, 64, 65, 91, 92, 93, 147, 148, 149, 1500]) {
        const bytes = new Uint8Array(size);
        if (size > 0) bytes[0] = type;
        expect(parseHandshakeMessage(bytes) !== null, `type ${type}, ${size} bytes`).toBe(
          sizes.get(type) === size,
        );
      }
    }
    for (const reserved of [1, 2, 3]) {
      const bytes = new Uint8Array(148);
      bytes[0] = 1;
      bytes[reserved] = 1;
      expect(parseHandshakeMessage(bytes)).toBeNull();
    }
  });
});

describe('the table of indices', () => {
  it('never gives out one that is in use', () => {
    const a = Uint8Array.of(1, 2, 3, 4);
    const b = Uint8Array.of(0xff, 0xff, 0xff, 0xff);
    const indices = new RandomIndices(scriptedRandom(a, a, b, a));
    expect(indices.allocate()).toBe(0x04030201);
    expect(indices.allocate()).toBe(0xffff_ffff);
    indices.release(0x04030201);
    expect(indices.allocate()).toBe(0x04030201);
    expect(indices.size).toBe(2);
  });

  it('holds what was allocated and not released', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean()), (steps) => {
        const indices = new RandomIndices(seededRandom(3));
        const held: number[] = [];
        for (const allocate of steps) {
          if (allocate) held.push(indices.allocate());
          else indices.release(held.pop() ?? 0);
        }
        expect(indices.size).toBe(held.length);
        expect(new Set(held).size).toBe(held.length);
      }),
    );
  });
});
