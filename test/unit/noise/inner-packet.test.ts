/**
 * Padding before sealing and cutting after opening.
 * @module
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hasHeader, MALFORMED, packetLength, paddedLength } from '../../../src/noise/inner-packet.ts';

function packet(version: number, claimed: number, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  bytes[0] = version << 4;
  new DataView(bytes.buffer).setUint16(version === 6 ? 4 : 2, claimed);
  return bytes;
}

describe('padding', () => {
  test.each([
    [0, 1420, 0],
    [1, 1420, 16],
    [84, 1420, 96],
    [96, 1420, 96],
    [1419, 1420, 1420],
    [1420, 1420, 1420],
    // Longer than the MTU: only what is over counts.
    [1421, 1420, 1436],
    [2840, 1420, 2840],
    // The kernel selftest's MTU.
    [1299, 1300, 1300],
    [1300, 1300, 1300],
    [1420, 0, 1424],
  ])('%i bytes in an MTU of %i become %i', (length, mtu, expected) => {
    expect(paddedLength(length, mtu)).toBe(expected);
  });
});

describe('the length of an opened packet', () => {
  test.each([
    ['IPv4 as long as it says', packet(4, 84, 84), 84],
    ['IPv4 with padding', packet(4, 84, 96), 84],
    ['IPv4 that claims more than there is', packet(4, 97, 96), MALFORMED],
    ['IPv4 that claims less than its header', packet(4, 19, 96), MALFORMED],
    ['IPv4 shorter than its header', packet(4, 19, 19), MALFORMED],
    ['IPv6 with padding', packet(6, 20, 64), 60],
    ['IPv6 without payload', packet(6, 0, 40), 40],
    ['IPv6 that claims more than there is', packet(6, 25, 64), MALFORMED],
    ['IPv6 that claims so much that 16 bits overflow', packet(6, 0xffff, 64), MALFORMED],
    ['IPv6 shorter than its header', packet(6, 0, 39), MALFORMED],
    ['neither version', packet(5, 40, 64), MALFORMED],
    ['nothing', new Uint8Array(0), MALFORMED],
  ])('%s', (_name, bytes, expected) => {
    const shifted = new Uint8Array(bytes.length + 9);
    shifted.set(bytes, 9);
    expect(packetLength(shifted, 9, bytes.length)).toBe(expected);
  });

  test('never exceeds what is there', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const length = packetLength(bytes, 0, bytes.length);
        expect(length === MALFORMED || (length >= 20 && length <= bytes.length)).toBe(true);
        if (length !== MALFORMED) expect(hasHeader(bytes, 0, bytes.length)).toBe(true);
      }),
    );
  });
});
