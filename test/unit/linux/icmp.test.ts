/**
 * Echo requests and replies. The checksum is held against bytes of a real ping.
 * @module
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createEchoRequest, readEchoReply } from '../../../src/linux/icmp.ts';

/** RFC 1071 by the letter: the one's complement sum of a message with its checksum is all ones. */
const sums = (bytes: Uint8Array): number => {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) {
    sum += (bytes[i] ?? 0) * 256 + (bytes[i + 1] ?? 0);
    if (sum > 0xffff) sum -= 0xffff;
  }
  return sum;
};

const header = (headerWords = 5): number[] => {
  const bytes = new Array<number>(headerWords * 4).fill(0);
  bytes[0] = 0x40 + headerWords;
  bytes.splice(12, 4, 10, 42, 3, 2);
  return bytes;
};

describe('an echo request', () => {
  it('carries id, sequence and a right checksum', () => {
    const request = createEchoRequest({ id: 0x1234, sequence: 0xabcd });
    expect([...request.subarray(0, 2)]).toEqual([8, 0]);
    expect([...request.subarray(4, 8)]).toEqual([0x12, 0x34, 0xab, 0xcd]);
    expect(request).toHaveLength(64);
    expect(sums(request)).toBe(0xffff);
  });
});

describe('an echo reply', () => {
  /** What the answer to `ping -c 1` with id 1 and sequence 2 and no data looks like: 0x0000 + 0x0001 + 0x0002, inverted. */
  const reply = [0, 0, 0xff, 0xfc, 0, 1, 0, 2];

  it('is read behind the IPv4 header, with and without options', () => {
    const expected = { id: 1, sequence: 2, from: '10.42.3.2' };
    expect(readEchoReply(Uint8Array.from([...header(), ...reply]))).toEqual(expected);
    expect(readEchoReply(Uint8Array.from([...header(7), ...reply]))).toEqual(expected);
  });

  it('is nothing when it is a request, damaged, or cut short', () => {
    expect(readEchoReply(Uint8Array.from([...header(), 8, 0, 0xf7, 0xfc, 0, 1, 0, 2]))).toBeNull();
    expect(readEchoReply(Uint8Array.from([...header(), 0, 0, 0xff, 0xfb, 0, 1, 0, 2]))).toBeNull();
    expect(readEchoReply(Uint8Array.from([...header(), ...reply.slice(0, 7)]))).toBeNull();
  });

  it('never throws on any bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => readEchoReply(bytes) !== undefined));
  });
});
