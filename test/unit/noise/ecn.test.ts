/**
 * Congestion marks against a twin that knows RFC 6040's tables and sums the whole header (RFC 791 §3.1).
 * @module
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { markCongestion, outerEcn } from '../../../src/noise/ecn.ts';

const NOT_ECT = 0;
const ECT_1 = 1;
const ECT_0 = 2;
const CE = 3;

function headerSum(header: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < header.length; i += 2) sum += ((header[i] ?? 0) << 8) | (header[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}

function ipv4(trafficClass: number, rest: Uint8Array): Uint8Array {
  const header = Uint8Array.from([0x45, trafficClass, ...rest]);
  header[10] = 0;
  header[11] = 0;
  const sum = ~headerSum(header) & 0xffff;
  header[10] = sum >>> 8;
  header[11] = sum & 0xff;
  return header;
}

function ipv6(trafficClass: number, rest: Uint8Array): Uint8Array {
  return Uint8Array.from([0x60 | (trafficClass >>> 4), ((trafficClass & 15) << 4) | 7, ...rest]);
}

const byte = fc.integer({ min: 0, max: 255 });
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

describe('ECN', () => {
  it('goes out as it is, a mark as "may be marked", and DSCP stays inside', () => {
    const out = { [NOT_ECT]: NOT_ECT, [ECT_1]: ECT_1, [ECT_0]: ECT_0, [CE]: ECT_0 };
    fc.assert(
      fc.property(byte, bytes(18), bytes(38), (trafficClass, rest4, rest6) => {
        const expected = out[(trafficClass & 3) as keyof typeof out];
        expect(outerEcn(ipv4(trafficClass, rest4), 0)).toBe(expected);
        expect(outerEcn(ipv6(trafficClass, rest6), 0)).toBe(expected);
      }),
    );
  });

  it('comes back in: a packet that can be marked is, its checksum holds, and nothing else changes', () => {
    fc.assert(
      fc.property(byte, bytes(18), bytes(38), (trafficClass, rest4, rest6) => {
        const marked = (trafficClass & 3) === NOT_ECT ? trafficClass : trafficClass | CE;
        const packet4 = ipv4(trafficClass, rest4);
        markCongestion(packet4, 0);
        expect(headerSum(packet4)).toBe(0xffff);
        const expected4 = ipv4(marked, rest4);
        // One's complement has two zeros, so the sums are compared, not the bytes.
        expect([...packet4.subarray(0, 10), ...packet4.subarray(12)]).toEqual([
          ...expected4.subarray(0, 10),
          ...expected4.subarray(12),
        ]);
        const packet6 = ipv6(trafficClass, rest6);
        markCongestion(packet6, 0);
        expect(packet6).toEqual(ipv6(marked, rest6));
      }),
    );
  });
});
