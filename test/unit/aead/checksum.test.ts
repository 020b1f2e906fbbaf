/** The kernel's Internet checksum against its twin. RFC 1071; lengths 0–9001 and initial 0x1234 as wireguard-go tests its own. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { naiveSum } from './checksum.twin.ts';
import { KernelAreas, widths } from './kernel-areas.ts';
import { pattern } from './packets.ts';

describe.each(widths)('the %s checksum', (_name, options) => {
  const areas = new KernelAreas(options);
  const { kernel, bytes, read, end } = areas;

  it('sums the example of RFC 1071 §3 to ddf2', () => {
    bytes.set([0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7], read);
    expect(kernel.checksum(read, 8, 0)).toBe(0xddf2);
  });

  it('is 0 only for zeros', () => {
    bytes.fill(0, read, read + 4096);
    for (const length of [0, 1, 15, 16, 17, 63, 64, 65, 1500, 4096]) {
      expect(kernel.checksum(read, length, 0)).toBe(0);
    }
    bytes[read + 77] = 1;
    expect(kernel.checksum(read, 4096, 0xfffe)).toBe(0xffff);
  });

  it('gives what its twin gives for every length from 0 to 9001', () => {
    const data = pattern(9001, 3);
    bytes.set(data, read);
    for (let length = 0; length <= data.length; length++) {
      const found = kernel.checksum(read, length, 0x1234);
      // Equal up to the two zeros of one's complement; 0 cannot come up here.
      if (found !== naiveSum(data.subarray(0, length), 0x1234)) expect.fail(`length ${length}: ${found}`);
    }
  });

  it('does not overflow on 64 KiB of ones, zeros or alternating bytes', () => {
    for (const value of [0xff, 0x00, 0x80, 0x7f]) {
      bytes.fill(value, read, read + 65535);
      const expected = naiveSum(new Uint8Array(65535).fill(value), 0xffff);
      expect(kernel.checksum(read, 65535, 0xffff)).toBe(expected);
    }
    const alternating = Uint8Array.from({ length: 65535 }, (_, i) => (i & 2 ? 0x80 : 0x7f));
    bytes.set(alternating, read);
    expect(kernel.checksum(read, 65535, 0)).toBe(naiveSum(alternating));
  });

  it('reads nothing behind the last byte, at any alignment', () => {
    for (let length = 0; length <= 200; length++) {
      const data = pattern(length, length);
      bytes.set(data, end - length);
      expect(kernel.checksum(end - length, length, 1)).toBe(naiveSum(data, 1));
    }
  });

  it('adds up whatever the bytes are', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        fc.integer({ min: 1, max: 0xffff }),
        fc.nat(31),
        (data, initial, shift) => {
          bytes.set(data, read + shift);
          expect(kernel.checksum(read + shift, data.length, initial)).toBe(naiveSum(data, initial));
        },
      ),
    );
  });
});
