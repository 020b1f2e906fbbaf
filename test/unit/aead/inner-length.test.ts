/** Where a decrypted packet ends and its padding begins. WireGuard paper §5.4.6; RFC 791 §3.1, RFC 8200 §3. */
import { describe, expect, it } from 'vitest';
import { DROP_INNER_LENGTH, DROP_SHORT, DROP_VERSION } from '../../../src/aead/packet-drops.ts';
import { KernelAreas, simd128 } from './kernel-areas.ts';
import { B4, B6, pattern, udp } from './packets.ts';

describe('the length of a decrypted packet', () => {
  const areas = new KernelAreas(simd128);
  const inner = (packet: Uint8Array, length = packet.length) => {
    areas.bytes.set(packet, areas.read);
    return areas.kernel.innerLength(areas.read, length);
  };

  it('is what its header says, with the padding cut off', () => {
    const four = udp({ addresses: B4, payload: pattern(5) });
    const six = udp({ addresses: B6, payload: pattern(5) });
    expect(inner(four, 33)).toBe(33);
    expect(inner(four, 48)).toBe(33);
    expect(inner(six, 53)).toBe(53);
    expect(inner(six, 64)).toBe(53);
    expect(inner(Uint8Array.of(0x45, 0, 0, 20, ...new Uint8Array(16)))).toBe(20);
    expect(inner(Uint8Array.of(0x60, ...new Uint8Array(39)))).toBe(40);
  });

  it('is refused when the header claims more than there is, or less than a header', () => {
    const four = udp({ addresses: B4, payload: pattern(5) });
    const six = udp({ addresses: B6, payload: pattern(5) });
    expect(inner(four, 32)).toBe(DROP_INNER_LENGTH);
    expect(inner(six, 52)).toBe(DROP_INNER_LENGTH);
    expect(inner(Uint8Array.of(0x45, 0, 0, 19, ...new Uint8Array(16)))).toBe(DROP_INNER_LENGTH);
    // 65,535 + 40 does not fit 16 bits.
    expect(inner(Uint8Array.of(0x60, 0, 0, 0, 0xff, 0xff, ...new Uint8Array(34)))).toBe(DROP_INNER_LENGTH);
    expect(inner(four, 19)).toBe(DROP_SHORT);
    expect(inner(new Uint8Array(0))).toBe(DROP_SHORT);
    expect(inner(six, 39)).toBe(DROP_SHORT);
    for (const first of [0x00, 0x35, 0x55, 0x75, 0xff]) {
      expect(inner(Uint8Array.of(first, ...new Uint8Array(63)))).toBe(DROP_VERSION);
    }
  });
});
