/**
 * TUN reads cut, checksummed, padded and sealed, against the twin; the messages are opened by noble.
 * The table of sizes is wireguard-go's (its TUN offload tests, as facts).
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  DROP_CHECKSUM_PLACE,
  DROP_GSO_HEADER,
  DROP_GSO_SIZE,
  DROP_GSO_TYPE,
  DROP_LONG,
  DROP_SHORT,
  DROP_VERSION,
} from '../../../src/aead/packet-drops.ts';
import { checksumsHold } from './checksum.twin.ts';
import { KernelAreas, simd128, widths } from './kernel-areas.ts';
import { ACK, CWR, FIN, PSH, pattern, tcp, udp, v4, v6, virtio } from './packets.ts';
import { naivePadded, naiveSegments } from './segment.twin.ts';

const tcpTrain = (packet: Uint8Array, gsoSize: number, extra = {}) => {
  const six = packet[0]! >> 4 === 6;
  const checksumStart = six ? 40 : (packet[0]! & 15) * 4;
  return virtio(
    {
      flags: 1,
      gsoType: six ? 4 : 1,
      headerLength: 54,
      gsoSize,
      checksumStart,
      checksumOffset: 16,
      ...extra,
    },
    packet,
  );
};
const udpTrain = (packet: Uint8Array, gsoSize: number, extra = {}) => {
  const checksumStart = packet[0]! >> 4 === 6 ? 40 : (packet[0]! & 15) * 4;
  return virtio(
    { flags: 1, gsoType: 5, headerLength: 28, gsoSize, checksumStart, checksumOffset: 6, ...extra },
    packet,
  );
};

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
  const cut = (read: Uint8Array) => areas.unmerge(read).map((write) => write.subarray(10));

  it('cuts 200 bytes of payload at 100 as wireguard-go does', () => {
    const payload = pattern(200);
    const table: [Uint8Array, number[]][] = [
      [tcpTrain(tcp({ addresses: v4(1), seq: 1, payload, partial: true }), 100), [140, 140]],
      [tcpTrain(tcp({ addresses: v6(1), seq: 1, payload, partial: true }), 100), [160, 160]],
      [udpTrain(udp({ addresses: v4(1), payload, partial: true }), 100), [128, 128]],
      [udpTrain(udp({ addresses: v6(1), payload, partial: true }), 100), [148, 148]],
    ];
    for (const [read, lengths] of table) {
      const packets = cut(read);
      expect(packets.map((packet) => packet.length)).toEqual(lengths);
      expect(packets.every(checksumsHold)).toBe(true);
    }
  });

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

  it('leaves a read that is a single finished packet as it is', () => {
    for (const packet of [
      tcp({ addresses: v4(1), seq: 1, payload: pattern(1380) }),
      udp({ addresses: v6(1), payload: pattern(3) }),
      pattern(20).fill(0x45, 0, 1),
    ]) {
      for (const flags of [0, 2, 4]) {
        expect(cut(virtio({ flags, checksumStart: 20, checksumOffset: 16 }, packet))).toEqual([packet]);
      }
    }
  });

  it('completes the checksum of a single packet that the kernel left to us', () => {
    for (let length = 0; length < 200; length++) {
      const payload = pattern(length, length);
      const base = { payload, seq: 9, id: 7 };
      for (const of of [v4(1), v6(1)]) {
        const checksumStart = of.src.length === 16 ? 40 : 20;
        const fields = { ...base, addresses: of };
        expect(
          cut(virtio({ flags: 1, checksumStart, checksumOffset: 16 }, tcp({ ...fields, partial: true }))),
        ).toEqual([tcp(fields)]);
        expect(
          cut(virtio({ flags: 1, checksumStart, checksumOffset: 6 }, udp({ ...fields, partial: true }))),
        ).toEqual([udp(fields)]);
      }
    }
  });
});

describe('the split', () => {
  const areas = new KernelAreas(simd128);
  const cut = (read: Uint8Array) => areas.unmerge(read).map((write) => write.subarray(10));
  const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset);

  it('sets FIN and PSH on the last segment only, and CWR on the first only', () => {
    const flags = FIN | PSH | ACK | CWR;
    const read = tcpTrain(
      tcp({ addresses: v4(1), seq: 1, flags, payload: pattern(250), partial: true }),
      100,
    );
    expect(cut(read).map((packet) => packet[33])).toEqual([ACK | CWR, ACK, ACK | PSH | FIN]);
    read[1] = 0x81; // with the ECN bit of the virtio header
    expect(cut(read).map((packet) => packet[33])).toEqual([ACK | CWR, ACK, ACK | PSH | FIN]);
  });

  it('counts sequence numbers past 2^32 and IPv4 identifications past 2^16', () => {
    const packet = tcp({
      addresses: v4(1),
      seq: 0xffffff38,
      id: 0xffff,
      payload: pattern(300),
      partial: true,
    });
    const packets = cut(tcpTrain(packet, 100));
    expect(packets.map((bytes) => view(bytes).getUint32(24))).toEqual([0xffffff38, 0xffffff9c, 0]);
    expect(packets.map((bytes) => view(bytes).getUint16(4))).toEqual([0xffff, 0, 1]);
    expect(packets.every(checksumsHold)).toBe(true);
  });

  it('sends a UDP checksum that comes out as 0 as ffff', () => {
    for (const of of [v4(1), v6(1)]) {
      const six = of.src.length === 16;
      const start = six ? 40 : 20;
      // The first two bytes of the payload are chosen to make the sum of all the rest come out as ffff.
      const payload = pattern(40);
      payload[0] = payload[1] = 0;
      const whole = udp({ addresses: of, payload });
      const sum = view(whole).getUint16(start + 6);
      payload[0] = sum >>> 8;
      payload[1] = sum;
      for (const read of [
        virtio(
          { flags: 1, checksumStart: start, checksumOffset: 6 },
          udp({ addresses: of, payload, partial: true }),
        ),
        udpTrain(udp({ addresses: of, payload, partial: true }), 40),
      ]) {
        const [packet] = cut(read);
        expect(view(packet!).getUint16(start + 6)).toBe(0xffff);
        expect(checksumsHold(packet!)).toBe(true);
      }
    }
  });

  it('does not lose the carry when a sum and its own upper half overflow 32 bits', () => {
    // Addresses of all ones and a length of 03ff come near 3 × 2^32, and the data makes up what is missing.
    const all = new Uint8Array(4).fill(255);
    const packet = udp({
      addresses: { src: all, dst: all },
      ports: [0, 0],
      payload: new Uint8Array(1015),
      partial: true,
    });
    const before = 2 * 0xffffffff + (17 << 8) + 0xff03_0000 + 0xff03;
    let missing = 0x2_ffff_ffff - before;
    for (let at = 28; missing > 0; at += 2) {
      const word = Math.min(missing, 0xffff);
      view(packet).setUint16(at, word, true);
      missing -= word;
    }
    expect(cut(udpTrain(packet, 1015)).map(checksumsHold)).toEqual([true]);
  });

  it('keeps the whole train in one packet when it is not longer than a segment', () => {
    const packet = tcp({
      addresses: v4(1),
      seq: 1,
      flags: ACK | PSH | FIN,
      payload: pattern(100),
      partial: true,
    });
    expect(cut(tcpTrain(packet, 100)).map((bytes) => [bytes.length, bytes[33]])).toEqual([
      [140, ACK | PSH | FIN],
    ]);
    const empty = tcp({ addresses: v4(1), seq: 1, payload: pattern(0), partial: true });
    expect(cut(tcpTrain(empty, 100))).toEqual([tcp({ addresses: v4(1), seq: 1, payload: pattern(0) })]);
  });

  it('continues a train of more than 128 segments in a second run, under the next counters', () => {
    const payload = pattern(60_000);
    const read = tcpTrain(tcp({ addresses: v6(1), seq: 0xfffffff0, payload, partial: true }), 64);
    const expected = naiveSegments(read);
    expect(expected.length).toBe(938);
    const plan = areas.plan(read, 1420);
    const messages = areas.seal(plan, 1, 0xffffff00, 0, 128);
    expect(messages.length).toBe(938);
    for (const [i, message] of messages.entries()) {
      if (!Buffer.from(areas.open(message)).equals(naivePadded(expected[i]!, 1420)))
        expect.fail(`segment ${i}`);
    }
    expect(new Set(messages.map((message) => view(message).getBigUint64(8, true))).size).toBe(938);
    expect(areas.guardsHold()).toBe(true);
  });

  it('answers a range behind the last segment with nothing', () => {
    const plan = areas.plan(tcpTrain(tcp({ addresses: v4(1), seq: 1, payload: pattern(200) }), 100), 0);
    expect(plan.result).toBe(2);
    const { kernel, keyAt, out } = areas;
    expect(kernel.sealPlanned(keyAt, 1, 0, 0, 2, 1, out)).toBe(0);
    expect(kernel.sealPlanned(keyAt, 1, 0, 0, 0xffffffff, 0xffffffff, out)).toBe(0);
    expect(kernel.sealPlanned(keyAt, 1, 0, 0, 1, 0xffffffff, out)).toBe(plan.lastWireSize);
    expect(kernel.cutSegment(2, out)).toBe(0);
    expect(kernel.cutSegment(-1, out)).toBe(0);
  });

  it('pads as the kernel selftest wants it: 1299 and 1300 bytes at an MTU of 1300', () => {
    const sizeOf = (length: number, mtu: number) =>
      areas.plan(virtio({}, pattern(length).fill(0x45, 0, 1)), mtu).totalSize - 32;
    expect(sizeOf(1299, 1300)).toBe(1300);
    expect(sizeOf(1300, 1300)).toBe(1300);
    expect(sizeOf(1301, 1300)).toBe(1316);
    expect(sizeOf(1299, 0)).toBe(1312);
    expect(sizeOf(20, 1420)).toBe(32);
    expect(sizeOf(2600, 1300)).toBe(2600);
  });

  it('names why it drops a read', () => {
    const whole = tcp({ addresses: v4(1), seq: 1, payload: pattern(200), partial: true });
    const six = tcp({ addresses: v6(1), seq: 1, payload: pattern(200), partial: true });
    const result = (read: Uint8Array) => areas.plan(read, 1420).result;
    const changed = (read: Uint8Array, at: number, value: number) => {
      const copy = read.slice();
      copy[at] = value;
      return copy;
    };
    expect(result(new Uint8Array(0))).toBe(DROP_SHORT);
    expect(result(virtio({}, whole.subarray(0, 19)))).toBe(DROP_SHORT);
    expect(result(virtio({}, six.subarray(0, 39)))).toBe(DROP_SHORT);
    expect(areas.kernel.plan(areas.read, 10 + 65536, 0)).toBe(DROP_LONG);
    expect(areas.kernel.plan(areas.read, -1, 0)).toBe(DROP_LONG);
    expect(result(virtio({}, changed(whole, 0, 0x55)))).toBe(DROP_VERSION);
    expect(result(virtio({}, changed(whole, 0, 0x44)))).toBe(DROP_SHORT);
    expect(result(virtio({ flags: 1, checksumStart: 20, checksumOffset: 219 }, whole))).toBe(
      DROP_CHECKSUM_PLACE,
    );
    expect(result(virtio({ flags: 1, checksumStart: 20, checksumOffset: 218 }, whole))).toBe(1);
    expect(result(virtio({ flags: 1, checksumStart: 12, checksumOffset: 2 }, whole))).toBe(
      DROP_CHECKSUM_PLACE,
    );
    expect(result(virtio({ flags: 1, checksumStart: 65535, checksumOffset: 65535 }, whole))).toBe(
      DROP_CHECKSUM_PLACE,
    );
    expect(result(tcpTrain(whole, 100, { gsoType: 3 }))).toBe(DROP_GSO_TYPE);
    expect(result(tcpTrain(whole, 100, { gsoType: 4 }))).toBe(DROP_GSO_TYPE);
    expect(result(tcpTrain(six, 100, { gsoType: 1 }))).toBe(DROP_GSO_TYPE);
    expect(result(tcpTrain(whole, 100, { gsoType: 5 }))).toBe(DROP_GSO_HEADER);
    expect(result(tcpTrain(whole, 0))).toBe(DROP_GSO_SIZE);
    expect(result(tcpTrain(whole, 100, { checksumStart: 24 }))).toBe(DROP_GSO_HEADER);
    expect(result(tcpTrain(whole, 100, { checksumOffset: 6 }))).toBe(DROP_CHECKSUM_PLACE);
    expect(result(tcpTrain(changed(whole, 32, 0x40), 100))).toBe(DROP_GSO_HEADER);
    expect(result(tcpTrain(changed(whole.subarray(0, 44), 32, 0xf0), 100))).toBe(DROP_GSO_HEADER);
    expect(result(tcpTrain(whole.subarray(0, 39), 100))).toBe(DROP_GSO_HEADER);
    expect(areas.kernel.sealPlanned(areas.keyAt, 1, 0, 0, 0, 100, areas.out)).toBe(0);
    expect(areas.kernel.cutSegment(0, areas.out)).toBe(0);
  });

  it('finds TCP behind hop-by-hop and destination options, and nothing behind other headers', () => {
    const behind = (next: number, ...bytes: number[]) =>
      tcp({
        addresses: v6(1),
        seq: 1,
        payload: pattern(200),
        extensions: { next, bytes: Uint8Array.from(bytes) },
      });
    const result = (packet: Uint8Array, checksumStart: number) => {
      const read = tcpTrain(packet, 100, { checksumStart });
      areas.bytes.set(read, areas.end - read.length);
      return areas.kernel.plan(areas.end - read.length, read.length, 0);
    };
    const pad = [1, 4, 0, 0, 0, 0];
    const both = behind(0, 60, 0, ...pad, 6, 1, ...pad, 0, 0, 0, 0, 0, 0, 0, 0);
    expect(result(both, 64)).toBe(2);
    expect(
      areas.unmerge(tcpTrain(both, 100, { checksumStart: 64 })).map((write) => write.subarray(10)),
    ).toEqual(naiveSegments(tcpTrain(both, 100, { checksumStart: 64 })));
    expect(result(both, 40)).toBe(DROP_GSO_HEADER);
    for (const next of [43, 44, 50, 51, 59, 17]) {
      expect(result(behind(next, 6, 0, ...pad), 48)).toBe(DROP_GSO_HEADER);
    }
    // Cut within the chain, flush with the end of the memory.
    for (let length = 40; length < 84; length++)
      expect(result(both.subarray(0, length), 64)).toBe(DROP_GSO_HEADER);
    expect(result(behind(0, 6, 255, ...pad), 2088)).toBe(DROP_GSO_HEADER);
    expect(result(behind(0, 0, 255, ...pad), 2088)).toBe(DROP_GSO_HEADER);
  });

  it('takes a train whose checksum flag is not set, by its own headers', () => {
    const packet = tcp({ addresses: v6(1), seq: 1, payload: pattern(200) });
    const packets = cut(tcpTrain(packet, 100, { flags: 2, checksumStart: 0, checksumOffset: 0 }));
    expect(packets.length).toBe(2);
    expect(packets.every(checksumsHold)).toBe(true);
  });

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

  it('writes its last message flush with the end of the memory', () => {
    const read = tcpTrain(tcp({ addresses: v4(1), seq: 1, payload: pattern(1381), partial: true }), 700);
    const plan = areas.plan(read, 1420);
    const at = areas.end - plan.totalSize;
    expect(areas.kernel.sealPlanned(areas.keyAt, 1, 5, 0, 0, plan.result, at)).toBe(plan.totalSize);
    const last = areas.take(areas.end - plan.lastWireSize, plan.lastWireSize);
    expect(areas.open(last)).toEqual(naivePadded(naiveSegments(read)[1]!, 1420));
  });
});

describe('a packet that waited', () => {
  const areas = new KernelAreas(simd128);

  it('is sealed as it was, for every length', () => {
    const data = pattern(1500);
    for (let length = 0; length <= 1500; length += length < 70 ? 1 : 97) {
      areas.bytes.set(data.subarray(0, length), areas.read);
      areas.bytes.fill(0xa5, areas.out, areas.out + 3000);
      const written = areas.kernel.sealPacket(areas.keyAt, 7, 1, 2, areas.read, length, 1420, areas.out);
      expect(areas.untouched(areas.out + written, areas.out + 3000)).toBe(true);
      expect(areas.open(areas.take(areas.out, written))).toEqual(naivePadded(data.subarray(0, length), 1420));
    }
    expect(areas.kernel.sealPacket(areas.keyAt, 7, 1, 2, areas.read, 65536, 1420, areas.out)).toBe(DROP_LONG);
    expect(areas.guardsHold()).toBe(true);
  });

  it('is a keepalive of 32 bytes when there is none', () => {
    areas.bytes.fill(0xa5, areas.out, areas.out + 64);
    expect(areas.kernel.sealEmpty(areas.keyAt, 0xfffffffe, 1, 2, areas.out)).toBe(32);
    expect(areas.untouched(areas.out + 32, areas.out + 64)).toBe(true);
    const message = areas.take(areas.out, 32);
    expect([...message.subarray(0, 16)]).toEqual([
      4, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 1, 0, 0, 0, 2, 0, 0, 0,
    ]);
    expect(areas.open(message).length).toBe(0);
  });
});
