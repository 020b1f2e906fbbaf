/** TUN reads cut and sealed: any well-formed one against the twin, opened by noble, and any bytes at all. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KernelAreas, simd128, widths } from './kernel-areas.ts';
import { pattern, tcp, tcpTrain, udp, udpTrain, v4, v6 } from './packets.ts';
import { naivePadded, naiveSegments } from './segment.twin.ts';

const addresses = fc.oneof(
  fc.constantFrom(v4(1), v6(1)),
  fc
    .record({
      src: fc.constantFrom(pattern(4, 1).fill(255, 1), pattern(16, 5)),
      dst: fc.constantFrom(pattern(4, 2).fill(255, 0, 3), pattern(16, 6).fill(255)),
    })
    .filter(({ src, dst }) => src.length === dst.length),
);
const options = fc.nat(10).map((words) => pattern(words * 4, words));
const ipFields = {
  addresses,
  ipOptions: fc.constantFrom(new Uint8Array(), pattern(4, 1), pattern(40, 2)),
  extensions: fc.constantFrom(undefined, undefined, 'hop-by-hop' as const),
  payload: fc.tuple(fc.nat(4000), fc.nat(255)).map(([length, seed]) => pattern(length, seed)),
  ports: fc.tuple(fc.nat(65535), fc.nat(65535)),
  tos: fc.nat(255),
  ttl: fc.nat(255),
  id: fc.nat(65535),
  partial: fc.constant(true),
};
type Drawn = { extensions?: 'hop-by-hop' | undefined };
/** A hop-by-hop header of 16 bytes: router alert and padding. */
function withExtensions<T extends Drawn>(drawn: T, protocol: number) {
  const { extensions, ...fields } = drawn;
  if (extensions === undefined) return { fields, start: 0 };
  const bytes = Uint8Array.of(protocol, 1, 5, 2, 0, 0, 1, 8, 0, 0, 0, 0, 0, 0, 0, 0);
  return { fields: { ...fields, extensions: { next: 0, bytes } }, start: bytes.length };
}
const tcpReads = fc
  .tuple(
    fc.record({ ...ipFields, seq: fc.nat(0xffffffff), flags: fc.nat(255), options }),
    fc.integer({ min: 40, max: 2000 }),
  )
  .map(([drawn, gsoSize]) => {
    const { fields, start } = withExtensions(drawn, 6);
    const packet = tcp(fields);
    const six = packet[0]! >> 4 === 6;
    return tcpTrain(packet, gsoSize, six ? { checksumStart: 40 + start } : {});
  });
const udpReads = fc
  .tuple(fc.record(ipFields), fc.integer({ min: 1, max: 2000 }))
  .filter(([drawn, gsoSize]) => drawn.payload.length / gsoSize < 300)
  .map(([drawn, gsoSize]) => {
    const { fields, start } = withExtensions(drawn, 17);
    const packet = udp(fields);
    return udpTrain(packet, gsoSize, packet[0]! >> 4 === 6 ? { checksumStart: 40 + start } : {});
  });

describe.each(widths)('the %s split', (_name, width) => {
  const areas = new KernelAreas(width);
  it('makes of any TCP or UDP train the packets its twin makes', () => {
    fc.assert(
      fc.property(fc.oneof(tcpReads, udpReads), (read) => {
        const expected = naiveSegments(read);
        const found = areas.unmerge(read);
        expect(found.length).toBe(expected.length);
        for (const [i, write] of found.entries()) {
          if (!Buffer.from(write.subarray(10)).equals(expected[i]!)) expect.fail(`segment ${i} differs`);
          if (write.subarray(0, 10).some((byte) => byte !== 0)) expect.fail(`virtio header of segment ${i}`);
        }
      }),
      { numRuns: 300 },
    );
    expect(areas.guardsHold()).toBe(true);
  });

  it('seals the segments so that noble opens them, padded as the paper says, for any MTU', () => {
    fc.assert(
      fc.property(
        fc.oneof(tcpReads, udpReads).filter((read) => naiveSegments(read).length < 40),
        fc.oneof(fc.constantFrom(0, 1280, 1420), fc.integer({ min: 1, max: 2500 })),
        fc.integer({ min: 1, max: 5 }),
        fc.tuple(fc.nat(0xffffffff), fc.constantFrom(0, 7, 0xfffffff0, 0xffffffff), fc.nat(0xffff)),
        (read, mtu, step, [receiver, ctrLo, ctrHi]) => {
          const plan = areas.plan(read, mtu);
          const expected = naiveSegments(read);
          expect(plan.result).toBe(expected.length);
          expect(plan.version).toBe(read[10]! >> 4);
          const messages = areas.seal(plan, receiver, ctrLo, ctrHi, step);
          expect(messages.reduce((sum, message) => sum + message.length, 0)).toBe(plan.totalSize);
          for (const [i, message] of messages.entries()) {
            const view = new DataView(message.buffer);
            expect(view.getUint32(0, true)).toBe(4);
            expect(view.getUint32(4, true)).toBe(receiver);
            expect(view.getBigUint64(8, true)).toBe((BigInt(ctrHi) << 32n) + BigInt(ctrLo) + BigInt(i));
            const plain = areas.open(message);
            if (!Buffer.from(plain).equals(naivePadded(expected[i]!, mtu))) expect.fail(`plaintext ${i}`);
          }
        },
      ),
      { numRuns: 60 },
    );
    expect(areas.guardsHold()).toBe(true);
  });
});

describe('the split', () => {
  const areas = new KernelAreas(simd128);

  it('survives any header and packet: no trap, nothing written outside, every planned byte accounted for', () => {
    const mutated = fc
      .tuple(
        fc.oneof(tcpReads, udpReads),
        fc.array(fc.tuple(fc.nat(120), fc.nat(255)), { maxLength: 6 }),
        fc.nat(300),
      )
      .map(([read, changes, cutTo]) => {
        const copy = read.slice(0, cutTo < 150 ? cutTo : read.length);
        for (const [at, value] of changes) if (at < copy.length) copy[at] = value;
        return copy;
      });
    const garbage = fc
      .tuple(fc.uint8Array({ minLength: 0, maxLength: 200 }), fc.constantFrom(0x45, 0x60, 0x4f, 0x00))
      .map(([bytes, first]) => {
        if (bytes.length > 10) bytes[10] = first;
        return bytes;
      });
    fc.assert(
      fc.property(fc.oneof(mutated, garbage), fc.nat(3000), (read, mtu) => {
        // Flush with the end of the memory: a read past the packet traps.
        areas.bytes.set(read, areas.end - read.length);
        const segments = areas.kernel.plan(areas.end - read.length, read.length, mtu);
        if (segments < 0) {
          expect(segments).toBeGreaterThanOrEqual(-7);
          return;
        }
        expect(segments).toBeGreaterThanOrEqual(1);
        for (const first of [0, segments >> 1, segments - 1]) {
          const size = areas.kernel.cutSegment(first, areas.out);
          expect(size).toBeGreaterThanOrEqual(30);
          expect(size).toBeLessThanOrEqual(read.length);
          const sealed = areas.kernel.sealPlanned(areas.keyAt, 1, 0, 0, first, 1, areas.out);
          expect(sealed).toBeGreaterThanOrEqual(size - 10 + 32);
          expect(sealed).toBeLessThan(size - 10 + 32 + 16);
        }
      }),
      { numRuns: 2000 },
    );
    expect(areas.guardsHold()).toBe(true);
  });
});
