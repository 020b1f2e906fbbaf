/**
 * TUN reads cut, checksummed, padded and sealed, case by case; the messages are opened by noble.
 * The table of sizes is wireguard-go's (its TUN offload tests, as facts).
 */
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
import { ACK, CWR, FIN, PSH, pattern, tcp, tcpTrain, udp, udpTrain, v4, v6, virtio } from './packets.ts';
import { naivePadded, naiveSegments } from './segment.twin.ts';

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
