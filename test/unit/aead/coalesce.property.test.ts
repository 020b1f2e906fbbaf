/** Decrypted packets joined into trains: any mix of them against the twin, round trips, and any bytes at all. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GRO_EVEN, GRO_UDP } from '../../../src/aead/packet-drops.ts';
import { checksumsHold } from './checksum.twin.ts';
import { naiveCoalesce } from './coalesce.twin.ts';
import { KernelAreas, SLOTS, STRIDE, simd128, widths } from './kernel-areas.ts';
import {
  ACK,
  type Addresses,
  B4,
  B6,
  FIN,
  lengths,
  PSH,
  pattern,
  spoilt,
  tcp,
  tcpAt,
  udp,
  udpTo,
  virtio,
} from './packets.ts';
import { naiveSegments } from './segment.twin.ts';

const plainOnes = Array.from({ length: 12 }, () => ({}));
/** Packets of few flows, most of them in sequence and alike, so that there is much to join and one thing against it. */
const flowPackets = fc
  .tuple(
    fc.array(
      fc.record({
        of: fc.constantFrom(B4, B4, B6),
        isTcp: fc.constantFrom(true, true, false),
        size: fc.constantFrom(100, 100, 100, 100, 100, 40, 120),
        /** How many places earlier than in sequence it comes. */
        early: fc.constantFrom(0, 0, 0, 0, 1, 2, 5),
        quirk: fc.constantFrom(
          ...plainOnes,
          { flags: ACK | PSH },
          { flags: ACK | PSH },
          { flags: ACK | FIN },
          { ack: 2 },
          { ttl: 63 },
          { tos: 1 },
          { tos: 0x10 },
          { fragment: 0x40 },
          { fragment: 0x20 },
          { options: pattern(12, 1) },
          { options: Uint8Array.of(...pattern(11, 1), 0) },
          { size: 0 },
          { gap: 7 },
          { gap: -1 },
          { bad: true },
          { bad: true },
        ) as fc.Arbitrary<{ size?: number; gap?: number; bad?: boolean; flags?: number }>,
      }),
      { maxLength: 38, size: 'max' },
    ),
    fc.constantFrom(1, 0xffffff00),
  )
  .map(([drawn, start]) => {
    const next = new Map<Addresses, number>();
    const made: Uint8Array[] = [];
    for (const [i, { of, isTcp, early, quirk, ...rest }] of drawn.entries()) {
      const size = quirk.size ?? rest.size;
      const payload = pattern(size, i);
      const seq = (next.get(of) ?? start) + (quirk.gap ?? 0);
      if (isTcp) next.set(of, seq + size);
      const packet = isTcp
        ? tcp({ addresses: of, payload, ...quirk, seq: seq >>> 0 })
        : udp({ addresses: of, payload, ...quirk });
      made.splice(Math.max(0, made.length - early), 0, quirk.bad && size > 0 ? spoilt(packet) : packet);
    }
    return made;
  });

describe.each(widths)('the %s coalescing', (_name, width) => {
  const areas = new KernelAreas(width);

  it('writes what its twin writes, for any mix of flows, orders, sizes and faults', () => {
    fc.assert(
      fc.property(flowPackets, fc.constantFrom(0, GRO_UDP, GRO_UDP | GRO_EVEN), (packets, options) => {
        const expected = naiveCoalesce(packets, {
          udp: (options & GRO_UDP) !== 0,
          even: (options & GRO_EVEN) !== 0,
        });
        const found = areas.coalesce(packets, options);
        expect(lengths(found)).toEqual(lengths(expected));
        for (const [i, write] of found.entries()) {
          if (!Buffer.from(write).equals(expected[i]!)) {
            expect(Buffer.from(write).toString('hex')).toBe(Buffer.from(expected[i]!).toString('hex'));
          }
        }
      }),
      { numRuns: 1500 },
    );
    expect(areas.guardsHold()).toBe(true);
  });

  it('gives back the train it was cut from', () => {
    fc.assert(
      fc.property(
        fc.record({
          of: fc.constantFrom(B4, B6),
          seq: fc.nat(0xffffffff),
          length: fc.integer({ min: 1, max: 60_000 }),
          options: fc.nat(10).map((words) => pattern(words * 4, words)),
          pushed: fc.boolean(),
          reverse: fc.boolean(),
          gsoSize: fc.integer({ min: 600, max: 1400 }),
        }),
        ({ of, seq, length, options, pushed, reverse, gsoSize }) => {
          const payload = pattern(length, seq);
          const flags = pushed ? ACK | PSH : ACK;
          const packet = tcp({
            addresses: of,
            seq,
            payload,
            options,
            flags,
            partial: true,
            fragment: 0x40,
            id: 5,
          });
          const six = of.src.length === 16;
          const start = six ? 40 : 20;
          const read = virtio(
            {
              flags: 1,
              gsoType: six ? 4 : 1,
              headerLength: start + 20 + options.length,
              gsoSize,
              checksumStart: start,
              checksumOffset: 16,
            },
            packet,
          );
          const segments = areas.unmerge(read).map((write) => write.subarray(10));
          const writes = areas.coalesce(reverse ? segments.toReversed() : segments, 0);
          expect(writes.length).toBe(1);
          if (length > gsoSize) expect(Buffer.from(writes[0]!).equals(read)).toBe(true);
          else expect(writes[0]!.subarray(10)).toEqual(naiveSegments(read)[0]);
        },
      ),
      { numRuns: 60 },
    );
    expect(areas.guardsHold()).toBe(true);
  });
});

describe('coalescing', () => {
  const areas = new KernelAreas(simd128);

  it('survives any bytes, reads nothing behind them, writes nothing outside, and loses none', () => {
    const near = fc
      .tuple(
        fc.constantFrom(tcpAt(B4, 1), tcpAt(B4, 101), tcpAt(B6, 1), tcpAt(B6, 101), udpTo(B4), udpTo(B6)),
        fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 2 }),
        fc.oneof(fc.constant(0), fc.nat(160)),
      )
      .map(([packet, changes, cut]) => {
        const copy = packet.slice(0, Math.max(1, packet.length - cut));
        for (const [at, value] of changes) if (at < copy.length) copy[at] = value;
        return copy;
      });
    const packets = fc.array(fc.oneof(near, fc.uint8Array({ minLength: 1, maxLength: 90 })), {
      maxLength: 38,
    });
    fc.assert(
      fc.property(packets, fc.nat(7), (list, options) => {
        const { kernel, bytes, end } = areas;
        kernel.groBegin(areas.slots, STRIDE, SLOTS, options);
        for (const packet of list) {
          bytes.set(packet, end - packet.length);
          kernel.innerLength(end - packet.length, packet.length);
          expect(kernel.groAdd(end - packet.length, packet.length)).toBe(0);
        }
        const writes = areas.flush();
        expect(writes.length).toBeLessThanOrEqual(list.length);
        // Taken apart again there are as many packets as came in, and those of a train are sound.
        let total = 0;
        for (const write of writes) {
          const parts = write[1] === 0 ? [write] : areas.unmerge(write);
          total += parts.length;
          if (write[1] !== 0 && !parts.every((part) => checksumsHold(part.subarray(10))))
            expect.fail('unsound');
        }
        expect(total).toBe(list.length);
      }),
      { numRuns: 400 },
    );
    expect(areas.guardsHold()).toBe(true);
  });
});
